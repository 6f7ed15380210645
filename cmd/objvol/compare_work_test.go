package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The sizes of the work.
const (
	largeSize    = 256 << 20 // bytes
	chunkSize    = 1 << 20   // bytes of one read or write of a large file
	smallSize    = 4 << 10   // bytes
	smallFiles   = 1000
	treeFiles    = 5000
	treeDirs     = 50
	renamedFiles = 500
	randomReads  = 1000
	randomWrites = 10
	changedSize  = 16 << 20 // bytes of the file that is changed in places
)

// write is work that changes the directory. All that it makes is in dir.
type write struct {
	name   string
	row    string // what the table calls it; without one it only prepares
	dir    string
	files  int  // in dir, when it is done
	synced bool // it returns when all is safe
}

// read is work that does not.
type read struct {
	name string
	row  string // as in write
	cold bool   // nothing of it was read before
}

var writes = []write{
	{name: "write large", row: "write 256 MiB", dir: "large", files: 1},
	{name: "create with 1", row: "create 1,000 x 4 KiB, 1 thread", dir: "one", files: smallFiles},
	{name: "create with 8", row: "create 1,000 x 4 KiB, 8 threads", dir: "eight", files: smallFiles},
	{name: "untar", row: "untar 1,000 files", dir: "tar", files: smallFiles},
	{name: "prepare rename", dir: "old", files: renamedFiles},
	{name: "rename", row: "rename a directory of 500", dir: "new", files: renamedFiles},
	{name: "remove", row: "rm -rf of 1,000 files", dir: "eight"},
	{name: "prepare change", dir: "changed", files: 1},
	{name: "change", row: "random write 4 KiB + fsync, 10 times", dir: "changed", files: 1, synced: true},
	{name: "prepare tree", dir: "tree", files: treeFiles},
}

var reads = []read{
	{name: "walk", row: "walk 5,000 in 50 directories, cold", cold: true},
	{name: "walk", row: "walk 5,000 in 50 directories, warm"},
	{name: "read small", row: "read 1,000 x 4 KiB, cold", cold: true},
	{name: "read small", row: "read 1,000 x 4 KiB, warm"},
	{name: "read large", row: "read 256 MiB, cold", cold: true},
	{name: "read large", row: "read 256 MiB, warm"},
	{name: "read random", row: "random read 4 KiB, warm, 1,000 times"},
	{name: "check"},
}

// works are done by a child in a directory; archive is a tar file.
var works = map[string]func(dir, archive string) error{
	"write large":    func(dir, _ string) error { return writeLarge(filepath.Join(dir, "large"), largeSize) },
	"create with 1":  func(dir, _ string) error { return createSmall(filepath.Join(dir, "one"), smallFiles, 1) },
	"create with 8":  func(dir, _ string) error { return createSmall(filepath.Join(dir, "eight"), smallFiles, 8) },
	"untar":          func(dir, archive string) error { return untar(filepath.Join(dir, "tar"), archive) },
	"prepare rename": func(dir, _ string) error { return createSmall(filepath.Join(dir, "old"), renamedFiles, 8) },
	"rename":         func(dir, _ string) error { return os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "new")) },
	"remove":         func(dir, _ string) error { return os.RemoveAll(filepath.Join(dir, "eight")) },
	"prepare change": func(dir, _ string) error { return writeLarge(filepath.Join(dir, "changed"), changedSize) },
	"change":         func(dir, _ string) error { return changeFile(filepath.Join(dir, "changed", "file")) },
	"prepare tree":   func(dir, _ string) error { return createTree(filepath.Join(dir, "tree")) },
	"walk":           func(dir, _ string) error { return walkTree(filepath.Join(dir, "tree")) },
	"read small":     func(dir, _ string) error { return readSmall(filepath.Join(dir, "one")) },
	"read large":     func(dir, _ string) error { return readLarge(filepath.Join(dir, "large", "file")) },
	"read random":    func(dir, _ string) error { return readRandom(filepath.Join(dir, "large", "file")) },
	"check":          func(dir, _ string) error { return check(dir) },
}

// The environment of a child, and the beginning of the line that it answers with.
const (
	envWork        = "OBJVOL_COMPARE_WORK"
	envWorkDir     = "OBJVOL_COMPARE_DIR"
	envWorkArchive = "OBJVOL_COMPARE_ARCHIVE"
	workTook       = "took "
)

// TestComparisonWork does one work, in a child.
func TestComparisonWork(t *testing.T) {
	name, child := os.LookupEnv(envWork)
	if !child {
		return
	}
	do := works[name]
	if do == nil {
		t.Fatalf("no work %q", name)
	}
	begun := time.Now()
	if err := do(os.Getenv(envWorkDir), os.Getenv(envWorkArchive)); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s%d\n", workTook, time.Since(begun))
}

// work has a child do one work and returns how long that took, without the child's start.
func work(t *testing.T, dir, name, archive string) time.Duration {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t, 2*time.Minute), binary, "-test.run=^TestComparisonWork$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), envWork+"="+name, envWorkDir+"="+dir, envWorkArchive+"="+archive)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s in %s: %v\n%s", name, dir, err, output)
	}
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, workTook); ok {
			nanoseconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(nanoseconds)
		}
	}
	t.Fatalf("%s in %s says only\n%s", name, dir, output)
	return 0
}

// content is bytes that do not compress, others for each seed.
func content(size int, seed uint64) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	data := make([]byte, size)
	_, _ = source.Read(data) // it never fails
	return data
}

func writeLarge(dir string, size int) (err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := content(chunkSize, 0)
	for range size / chunkSize {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

func smallName(i int) string { return fmt.Sprintf("file-%04d", i) }

func createSmall(dir string, files, threads int) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return parallel(files, threads, func(i int) error {
		return os.WriteFile(filepath.Join(dir, smallName(i)), content(smallSize, uint64(i)), 0o644)
	})
}

// parallel calls do with 0 to n-1 from several goroutines.
func parallel(n, threads int, do func(i int) error) error {
	errs := make([]error, threads)
	var running sync.WaitGroup
	for thread := range threads {
		running.Go(func() {
			for i := thread; i < n && errs[thread] == nil; i += threads {
				errs[thread] = do(i)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func untar(dir, archive string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	output, err := exec.Command("tar", "-x", "-f", archive, "-C", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w\n%s", err, output)
	}
	return nil
}

// writeArchive makes the archive that untar takes: small files in ten directories.
func writeArchive(t *testing.T, path string) {
	t.Helper()
	dir := t.TempDir()
	for i := range 10 {
		if err := createSmall(filepath.Join(dir, strconv.Itoa(i)), smallFiles/10, 1); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.Command("tar", "-c", "-f", path, "-C", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, output)
	}
}

func createTree(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return parallel(treeDirs, 8, func(i int) error {
		return createSmall(filepath.Join(dir, strconv.Itoa(i)), treeFiles/treeDirs, 1)
	})
}

// changeFile writes a page at a random place and waits until it is safe, several times.
func changeFile(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for i := range randomWrites {
		if _, err := f.WriteAt(content(smallSize, uint64(i)), rand.Int64N(changedSize/smallSize)*smallSize); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// walkTree asks for the attributes of everything, as find -printf does.
func walkTree(dir string) error {
	found := 0
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			found++
		}
		_, err = entry.Info()
		return err
	})
	if err == nil && found != treeFiles {
		err = fmt.Errorf("found %d files, want %d", found, treeFiles)
	}
	return err
}

func readSmall(dir string) error {
	for i := range smallFiles {
		data, err := os.ReadFile(filepath.Join(dir, smallName(i)))
		if err != nil {
			return err
		}
		if len(data) != smallSize {
			return fmt.Errorf("%s has %d bytes, want %d", smallName(i), len(data), smallSize)
		}
	}
	return nil
}

func readLarge(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, chunkSize)
	for at := int64(0); at < largeSize; at += chunkSize {
		if _, err := f.ReadAt(chunk, at); err != nil {
			return err
		}
	}
	return nil
}

func readRandom(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, smallSize)
	for range randomReads {
		if _, err := f.ReadAt(page, rand.Int64N(largeSize/smallSize)*smallSize); err != nil {
			return err
		}
	}
	return nil
}

// check reads what the others only pass over, and compares it with what was written.
func check(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "large", "file"))
	if err != nil {
		return err
	}
	if !bytes.Equal(data, bytes.Repeat(content(chunkSize, 0), largeSize/chunkSize)) {
		return errors.New("the large file is not what was written")
	}
	for i := range smallFiles {
		data, err := os.ReadFile(filepath.Join(dir, "one", smallName(i)))
		if err != nil {
			return err
		}
		if !bytes.Equal(data, content(smallSize, uint64(i))) {
			return fmt.Errorf("%s is not what was written", smallName(i))
		}
	}
	return nil
}

// syncDir waits until the filesystem that dir is on has everything on its disk.
func syncDir(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// forget takes the content of all files out of the page cache.
func forget(t *testing.T, dir string) {
	t.Helper()
	syncDir(t, dir)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
}
