package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// work is what a child does, in a directory or with a client of the store.
type work func(j job, out *outcome) error

// works by name. Those that begin with "client" have a prefix for a directory.
var works = map[string]work{
	"write large":   func(j job, _ *outcome) error { return writeLarge(filepath.Join(j.Dir, "large"), j.Sizes.Large) },
	"read large":    func(j job, _ *outcome) error { return readLarge(filepath.Join(j.Dir, "large"), j.Sizes.Large) },
	"write changed": func(j job, _ *outcome) error { return writeLarge(filepath.Join(j.Dir, "large"), j.Sizes.Changed) },
	"change":        func(j job, _ *outcome) error { return change(j, j.Sizes.Changed) },
	"change a part": func(j job, _ *outcome) error { return change(j, partSize) },
	"read random":   func(j job, out *outcome) error { return readRandom(j, j.Sizes.Reads, out) },
	"read warm":     func(j job, out *outcome) error { return readRandom(j, j.Sizes.Warm, out) },
	"create small": func(j job, _ *outcome) error {
		return createSmall(filepath.Join(j.Dir, "small"), j.Sizes.Small, j.Threads)
	},
	"read small": func(j job, _ *outcome) error { return readSmall(j) },
	"create old": func(j job, _ *outcome) error {
		return createSmall(filepath.Join(j.Dir, "old"), j.Sizes.Renamed, j.Threads)
	},
	"rename": func(j job, _ *outcome) error {
		return os.Rename(filepath.Join(j.Dir, "old"), filepath.Join(j.Dir, "new"))
	},
	"remove old":  func(j job, _ *outcome) error { return remove(filepath.Join(j.Dir, "old"), os.RemoveAll) },
	"remove tar":  func(j job, _ *outcome) error { return remove(filepath.Join(j.Dir, "tar"), removeByProgram) },
	"create tree": func(j job, _ *outcome) error { return createTree(j) },
	"find":        func(j job, _ *outcome) error { return find(j) },
	"create flat": func(j job, _ *outcome) error { return createSmall(filepath.Join(j.Dir, "flat"), j.Sizes.Flat, 8) },
	"ls -l":       func(j job, _ *outcome) error { return list(j) },
	"untar":       func(j job, _ *outcome) error { return untar(j) },
	"git":         func(j job, _ *outcome) error { return git(j) },
	"sqlite":      func(j job, _ *outcome) error { return sqlite(j) },
	"manifest":    func(j job, out *outcome) (err error) { out.Files, err = readManifest(j.Dir); return err },
	"forget":      func(j job, _ *outcome) error { return forget(j.Dir) },

	"make resident": makeResident,
	"resident":      measureResident,

	"client write large":   withClient(client.writeLarge),
	"client read large":    withClient(client.readLarge),
	"client write changed": withClient(client.writeChanged),
	"client change":        withClient(client.changeAll),
	"client change a part": withClient(client.changePart),
	"client read random":   withCounts(client.readRandom),
	"client create small":  withClient(client.createSmall),
	"client read small":    withClient(client.readSmall),
	"client create old":    withClient(client.createOld),
	"client rename":        withClient(client.rename),
	"client remove old":    withClient(client.removeOld),
	"client create tree":   withClient(client.createTree),
	"client create flat":   withClient(client.createFlat),
	"client remove tar":    withClient(client.removeTar),
	"client list":          withClient(client.list),
	"client list all":      withClient(client.listAll),
	"client sqlite":        withClient(client.sqlite),
	"client upload":        withClient(client.upload),
}

// command runs a program and has what it says in its error.
func command(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(said))
	}
	return nil
}

// writeLarge writes a file as cp and dd do: it can only write to it.
func writeLarge(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := bytes.Clone(noise())
	for at := int64(0); at < size; at += chunkSize {
		stamp(chunk, at)
		if _, err := f.Write(chunk[:min(chunkSize, size-at)]); err != nil {
			return err
		}
	}
	return nil
}

func readLarge(path string, size int64) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, chunkSize)
	for at := int64(0); at < size; at += chunkSize {
		piece := chunk[:min(chunkSize, size-at)]
		if _, err := io.ReadFull(f, piece); err != nil {
			return err
		}
		if err := checkStamps(piece, at); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// change writes pages at random places of the first bytes, and waits until they are safe.
func change(j job, within int64) (err error) {
	f, err := os.OpenFile(filepath.Join(j.Dir, "large"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data := bytes.Clone(noise()[pageSize : 2*pageSize])
	for range j.Sizes.Writes {
		offset := rand.Int64N(within/pageSize) * pageSize
		stamp(data, offset)
		if _, err := f.WriteAt(data, offset); err != nil {
			return err
		}
	}
	return f.Sync()
}

// readRandom has each thread open the large file and read pages of it.
func readRandom(j job, reads int, out *outcome) error {
	path := filepath.Join(j.Dir, "large")
	err := parallel(j.Threads, j.Threads, func(int) (err error) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		data := make([]byte, pageSize)
		for range reads {
			offset := rand.Int64N(j.Sizes.Large/pageSize) * pageSize
			if _, err := f.ReadAt(data, offset); err != nil {
				return err
			}
			if err := checkStamps(data, offset); err != nil {
				return err
			}
		}
		return nil
	})
	out.Ops = j.Threads * reads
	return err
}

func createSmall(dir string, files, threads int) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return parallel(files, threads, func(i int) error {
		return os.WriteFile(filepath.Join(dir, smallName(i)), page(i), 0o644)
	})
}

func readSmall(j job) error {
	return parallel(j.Sizes.Small, j.Threads, func(i int) error {
		data, err := os.ReadFile(filepath.Join(j.Dir, "small", smallName(i)))
		if err == nil && !bytes.Equal(data, page(i)) {
			err = fmt.Errorf("%s has other content, %d bytes", smallName(i), len(data))
		}
		return err
	})
}

// remove removes a directory with all that is in it. What is left of it is in the error.
func remove(dir string, all func(dir string) error) error {
	err := all(dir)
	if err == nil {
		return nil
	}
	var left []string
	walk := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, path)
		return err
	})
	err = fmt.Errorf("%w\n%d names are left:\n%s", err, len(left), strings.Join(left, "\n"))
	if again := all(dir); again != nil {
		return errors.Join(err, walk, fmt.Errorf("a second time: %w", again))
	}
	return errors.Join(err, walk, errors.New("a second time it succeeds"))
}

func removeByProgram(dir string) error { return command("", "rm", "-rf", dir) }

func createTree(j job) error {
	root := filepath.Join(j.Dir, "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	return parallel(j.Sizes.Dirs, 8, func(i int) error {
		return createSmall(filepath.Join(root, dirName(i)), j.Sizes.PerDir, 1)
	})
}

func dirName(i int) string { return fmt.Sprintf("dir-%03d", i) }

// find asks for the attributes of everything.
func find(j job) error {
	said, err := exec.Command("find", filepath.Join(j.Dir, "tree"), "-printf", `%m %U %s %T@ %p\n`).Output()
	if err != nil {
		return fmt.Errorf("find: %w", err)
	}
	return wantLines(said, 1+j.Sizes.Dirs*(1+j.Sizes.PerDir))
}

func list(j job) error {
	said, err := exec.Command("ls", "-l", filepath.Join(j.Dir, "flat")).Output()
	if err != nil {
		return fmt.Errorf("ls: %w", err)
	}
	return wantLines(said, 1+j.Sizes.Flat)
}

func wantLines(said []byte, want int) error {
	if lines := bytes.Count(said, []byte("\n")); lines != want {
		return fmt.Errorf("%d lines, want %d", lines, want)
	}
	return nil
}

func untar(j job) error {
	dir := filepath.Join(j.Dir, "tar")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return command("", "tar", "-x", "-f", j.Archive, "-C", dir)
}

// git makes a repository of what untar made.
func git(j job) error {
	dir := filepath.Join(j.Dir, "tar")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "all"}} {
		all := append([]string{"-C", dir, "-c", "safe.directory=*", "-c", "gc.auto=0"}, args...)
		if err := command("", "git", all...); err != nil {
			return err
		}
	}
	return nil
}

// sqlite makes transactions of one row each.
func sqlite(j job) error {
	var script strings.Builder
	script.WriteString("PRAGMA synchronous=FULL;\nCREATE TABLE t (n INTEGER PRIMARY KEY, what TEXT);\n")
	for i := range j.Sizes.Commits {
		fmt.Fprintf(&script, "BEGIN; INSERT INTO t VALUES (%d, '%s'); COMMIT;\n", i, strings.Repeat("x", 100))
	}
	script.WriteString("SELECT count(*) FROM t;\n")
	said, err := sqlite3(filepath.Join(j.Dir, "database"), script.String())
	if err == nil && strings.TrimSpace(said) != strconv.Itoa(j.Sizes.Commits) {
		err = fmt.Errorf("sqlite3 counts %q", said)
	}
	return err
}

func sqlite3(path, script string) (string, error) {
	cmd := exec.Command("sqlite3", "-bail", path)
	cmd.Stdin = strings.NewReader(script)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("sqlite3: %w\n%s", err, said)
	}
	return string(said), nil
}

// writeArchive makes the archive that untar takes, and leaves what is in it in a directory:
// files of 1 to 32 KiB in directories of forty, as a source tree has them.
func writeArchive(archive, dir string, files int) error {
	made := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for i := range files {
		in := filepath.Join(dir, fmt.Sprintf("part-%d", i/200), fmt.Sprintf("room-%d", i/40))
		name := filepath.Join(in, smallName(i))
		size := 1<<10 + i*i*7%(31<<10)*(i%5)/4 // most are small
		if err := errors.Join(
			os.MkdirAll(in, 0o755),
			os.WriteFile(name, append([]byte(smallName(i)), noise()[:size]...), 0o644),
			os.Chtimes(name, made, made)); err != nil {
			return err
		}
	}
	return command("", "tar", "-c", "-f", archive, "-C", dir, ".")
}
