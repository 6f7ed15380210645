package fusefs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lists compares the names in a directory, sorted.
func lists(dir string, want ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s lists %q, want %q", dir, got, want)
	}
	return nil
}

func directories(dir string) error {
	d, f := filepath.Join(dir, "d"), filepath.Join(dir, "d", "f")
	if err := must(
		os.Mkdir(d, 0o750),
		expect("mkdir again", os.Mkdir(d, 0o750), syscall.EEXIST),
		os.WriteFile(f, nil, 0o644),
		expect("rmdir of a full directory", unix.Rmdir(d), syscall.ENOTEMPTY),
		expect("rmdir of a file", unix.Rmdir(f), syscall.ENOTDIR),
		expect("unlink of a directory", unix.Unlink(d), syscall.EISDIR),
		expect("mkdir below a file", os.Mkdir(filepath.Join(f, "x"), 0o750), syscall.ENOTDIR),
		expect("mkdir below nothing", os.Mkdir(filepath.Join(dir, "no", "x"), 0o750), syscall.ENOENT),
		lists(dir, "d"), lists(d, "f"),
	); err != nil {
		return err
	}
	info, err := os.Stat(d)
	if err != nil || info.Mode() != fs.ModeDir|0o750 {
		return fmt.Errorf("stat: %v, %w", info, err)
	}
	deep := filepath.Join(d, "1", "2", "3")
	return must(
		os.MkdirAll(deep, 0o755), os.WriteFile(filepath.Join(deep, "f"), []byte("deep"), 0o644),
		os.Remove(f), os.RemoveAll(d), lists(dir),
		expect("stat of what was removed", unix.Access(d, unix.F_OK), syscall.ENOENT),
	)
}

// removedDirectory is a directory that is gone while someone has it open.
func removedDirectory(dir string) error {
	path, other := filepath.Join(dir, "d"), filepath.Join(dir, "other")
	if err := must(os.Mkdir(path, 0o755), os.WriteFile(other, nil, 0o644)); err != nil {
		return err
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	at := int(d.Fd())
	_, create := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY, 0o644)
	_, tmpfile := unix.Openat(at, ".", unix.O_TMPFILE|unix.O_RDWR, 0o600)
	_, read := unix.Getdents(at, make([]byte, 4096))
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil || st.Nlink != 0 || st.Mode != unix.S_IFDIR|0o755 {
		return fmt.Errorf("fstat: %w, %d links, mode %o", err, st.Nlink, st.Mode)
	}
	return must(
		expect("create in a removed directory", create, syscall.ENOENT),
		expect("O_TMPFILE there", tmpfile, syscall.ENOENT),
		expect("mkdir there", unix.Mkdirat(at, "d", 0o755), syscall.ENOENT),
		expect("mkfifo there", unix.Mknodat(at, "p", unix.S_IFIFO, 0), syscall.ENOENT),
		expect("symlink there", unix.Symlinkat("x", at, "l"), syscall.ENOENT),
		expect("rename to it", unix.Renameat(unix.AT_FDCWD, other, at, "x"), syscall.ENOENT),
		expect("getdents", read, syscall.ENOENT), // of a local filesystem too
		unix.Fchmod(at, 0o700),
		d.Close(), lists(dir, "other"),
	)
}

func renames(dir string) error {
	a, b, d := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "d")
	if err := must(
		os.WriteFile(a, []byte("A"), 0o644), os.Rename(a, b), holds(b, "A"),
		expect("rename of nothing", os.Rename(a, b), syscall.ENOENT),
		os.WriteFile(a, []byte("over"), 0o644),
	); err != nil {
		return err
	}
	f, err := os.Open(b) // what is renamed over stays readable
	if err != nil {
		return err
	}
	if err := must(os.Rename(a, b), holds(b, "over"), lists(dir, "b")); err != nil {
		return err
	}
	buf := make([]byte, 1)
	if _, err := f.ReadAt(buf, 0); err != nil || buf[0] != 'A' {
		return fmt.Errorf("the file that was renamed over: %q, %w", buf, err)
	}
	noreplace := func(from, to string) error { return renameat2(from, to, unix.RENAME_NOREPLACE) }
	return must(
		f.Close(), os.WriteFile(a, []byte("a"), 0o644),
		expect("RENAME_NOREPLACE", noreplace(a, b), syscall.EEXIST), holds(b, "over"),
		noreplace(a, filepath.Join(dir, "c")),
		expect("RENAME_WHITEOUT", renameat2(b, a, unix.RENAME_WHITEOUT), syscall.EINVAL),
		os.Mkdir(d, 0o755),
		expect("file over directory", os.Rename(b, d), syscall.EEXIST), // os.Rename looks first
		expect("file over directory", unix.Rename(b, d), syscall.EISDIR),
		expect("directory over file", unix.Rename(d, b), syscall.ENOTDIR),
		os.Rename(b, filepath.Join(d, "b")), lists(dir, "c", "d"), lists(d, "b"), holds(filepath.Join(d, "b"), "over"),
		expect("directory into itself", unix.Rename(d, filepath.Join(d, "x")), syscall.EINVAL),
	)
}

func renameat2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

// exchanges lets a file and a directory change places, under the feet of those who have
// them open.
func exchanges(dir string) error {
	f, d := filepath.Join(dir, "f"), filepath.Join(dir, "d")
	if err := must(
		os.WriteFile(f, []byte("file"), 0o644), os.Mkdir(d, 0o755),
		os.WriteFile(filepath.Join(d, "x"), []byte("below"), 0o644),
	); err != nil {
		return err
	}
	file, err := os.Open(f)
	if err != nil {
		return err
	}
	buf := make([]byte, 4)
	if err := must(renameat2(f, d, unix.RENAME_EXCHANGE), holds(d, "file"), holds(filepath.Join(f, "x"), "below")); err != nil {
		return err
	}
	if _, err := file.ReadAt(buf, 0); err != nil || string(buf) != "file" {
		return fmt.Errorf("the open file: %q, %w", buf, err)
	}
	return must(
		file.Close(), lists(dir, "d", "f"), lists(f, "x"),
		expect("with nothing", renameat2(f, filepath.Join(dir, "no"), unix.RENAME_EXCHANGE), syscall.ENOENT),
		expect("with what lies in it", renameat2(f, filepath.Join(f, "x"), unix.RENAME_EXCHANGE), syscall.EINVAL),
		renameat2(f, d, unix.RENAME_EXCHANGE), holds(f, "file"), holds(filepath.Join(d, "x"), "below"),
	)
}

// directoryLinks counts the links of directories while those in them come and go.
func directoryLinks(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return must(
		lists(dir), links(dir, 2),
		os.Mkdir(at("a"), 0o755), links(dir, 3), links(at("a"), 2),
		os.Mkdir(at("a/x"), 0o755), os.WriteFile(at("a/f"), nil, 0o644), links(at("a"), 3),
		os.Mkdir(at("b"), 0o755), links(dir, 4),
		os.Rename(at("a/x"), at("b/x")), links(at("a"), 2), links(at("b"), 3),
		renameat2(at("b/x"), at("a/f"), unix.RENAME_EXCHANGE), links(at("a"), 3), links(at("b"), 2),
		os.Mkdir(at("c"), 0o755), unix.Rename(at("a/f"), at("c")), links(dir, 5), links(at("a"), 2), // over an empty one
		os.Remove(at("c")), os.Remove(at("a")), links(dir, 3),
	)
}

func links(path string, want uint64) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if st.Nlink != want {
		return fmt.Errorf("%s has %d links, want %d", path, st.Nlink, want)
	}
	return nil
}

func renameDirectory(dir string) error {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := must(
		os.MkdirAll(filepath.Join(from, "sub"), 0o755),
		os.WriteFile(filepath.Join(from, "sub", "f"), []byte("f"), 0o644),
		os.Mkdir(to, 0o755),
		unix.Rename(from, to), // over an empty one; os.Rename would refuse
		lists(dir, "to"), holds(filepath.Join(to, "sub", "f"), "f"),
		os.Mkdir(from, 0o755),
		expect("over a full directory", unix.Rename(from, to), syscall.ENOTEMPTY),
	); err != nil {
		return err
	}
	d, err := os.Open(filepath.Join(to, "sub"))
	if err != nil {
		return err
	}
	return must(
		os.Rename(filepath.Join(to, "sub"), filepath.Join(from, "moved")),
		lists(to), lists(from, "moved"), holds(filepath.Join(from, "moved", "f"), "f"),
		holds(fmt.Sprintf("/proc/self/fd/%d/f", d.Fd()), "f"), d.Close(),
	)
}

func symlinks(dir string) error {
	file, link := filepath.Join(dir, "f"), filepath.Join(dir, "l")
	long := strings.Repeat("x/", 2000)
	if err := must(
		os.WriteFile(file, []byte("f"), 0o644), os.Symlink("f", link), holds(link, "f"),
		expect("again", os.Symlink("f", link), syscall.EEXIST),
		os.Symlink(long, filepath.Join(dir, "long")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		expect("dangling", unix.Access(filepath.Join(dir, "dangling"), unix.F_OK), syscall.ENOENT),
	); err != nil {
		return err
	}
	for name, want := range map[string]string{"l": "f", "long": long, "dangling": "nowhere"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		got, err := os.Readlink(filepath.Join(dir, name))
		if err != nil || got != want || info.Mode().Type() != fs.ModeSymlink || info.Size() != int64(len(want)) {
			return fmt.Errorf("%s: %.80q, %w, %v, %d bytes", name, got, err, info.Mode(), info.Size())
		}
	}
	return must(os.Remove(link), holds(file, "f"))
}

// oddNames are names that need care on their way into a bucket or through the protocol.
func oddNames(dir string) error {
	names := []string{" ", "%2F", "-rf", "...", "\\", "\n", "\xff\xfe", "ä", strings.Repeat("n", 255), strings.Repeat("ü", 127)}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := must(os.WriteFile(path, []byte(name), 0o644), holds(path, name)); err != nil {
			return err
		}
	}
	slices.Sort(names)
	return must(
		lists(dir, names...),
		expect("256 bytes", os.WriteFile(filepath.Join(dir, strings.Repeat("n", 256)), nil, 0o644), syscall.ENAMETOOLONG),
	)
}

// manyNames reads a directory of 5,000 names in pieces and removes names while it does:
// each that stays is seen once, none twice. Then all are looked at, with and without
// their attributes.
func manyNames(dir string) error {
	const count = 5000
	name := func(i int) string { return fmt.Sprintf("name-%04d", i) }
	for i := range count {
		if err := os.WriteFile(filepath.Join(dir, name(i)), nil, 0o644); err != nil {
			return err
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	seen := map[string]int{}
	removed := map[string]bool{}
	for {
		batch, _ := d.Readdirnames(100)
		if len(batch) == 0 {
			break
		}
		for i, n := range batch {
			seen[n]++
			if i%2 == 0 {
				removed[n] = true
				if err := os.Remove(filepath.Join(dir, n)); err != nil {
					return err
				}
			}
		}
	}
	if err := d.Close(); err != nil {
		return err
	}
	var left []string
	for i := range count {
		if seen[name(i)] != 1 {
			return fmt.Errorf("%s was seen %d times", name(i), seen[name(i)])
		}
		if !removed[name(i)] {
			left = append(left, name(i))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("%s: %v, %w", e.Name(), info, err)
		}
	}
	return lists(dir, left...)
}
