package fusefs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// hardLinks is what programs see of hard links: one inode, whatever name is used.
func hardLinks(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	same := func(links uint64, content string, names ...string) error {
		var ino uint64
		for _, name := range names {
			var st unix.Stat_t
			if err := unix.Lstat(at(name), &st); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if ino == 0 {
				ino = st.Ino
			}
			if st.Ino != ino || st.Nlink != links {
				return fmt.Errorf("%s is inode %d with %d links, want %d with %d", name, st.Ino, st.Nlink, ino, links)
			}
			if got, err := os.ReadFile(at(name)); err != nil || string(got) != content {
				return fmt.Errorf("%s holds %q, %w", name, got, err)
			}
		}
		return nil
	}
	if err := must(
		os.WriteFile(at("a"), []byte("one"), 0o644), os.Mkdir(at("d"), 0o755),
		os.Link(at("a"), at("d/b")), same(2, "one", "a", "d/b"),
		os.Link(at("d/b"), at("c")), same(3, "one", "c", "d/b", "a"),
		expect("link over a name", os.Link(at("a"), at("c")), syscall.EEXIST),
		expect("link of a directory", os.Link(at("d"), at("e")), syscall.EPERM),
		os.WriteFile(at("c"), []byte("two"), 0o644), same(3, "two", "a", "d/b", "c"),
		os.Chmod(at("d/b"), 0o600), os.Rename(at("a"), at("c")), same(3, "two", "a", "d/b", "c"),
		os.Remove(at("a")), same(2, "two", "c", "d/b"),
		os.Rename(at("d"), at("e")), same(2, "two", "c", "e/b"),
		os.Remove(at("e/b")), same(1, "two", "c"),
	); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(at("c"), &st); err != nil || st.Mode != unix.S_IFREG|0o600 {
		return fmt.Errorf("the mode given under another name is %o, %w", st.Mode, err)
	}

	// A symlink and a fifo can have several names too.
	if err := must(
		os.Symlink("target", at("s")), os.Link(at("s"), at("s2")), has(at("s2"), 0o777, 0, 0),
		unix.Mkfifo(at("p"), 0o640), os.Link(at("p"), at("p2")), has(at("p2"), 0o640, 0, 0),
	); err != nil {
		return err
	}
	if target, err := os.Readlink(at("s2")); err != nil || target != "target" {
		return fmt.Errorf("the other name of a symlink leads to %q, %w", target, err)
	}

	// Unlinked under all names it is there for who has it open, and cannot come back.
	f, err := os.OpenFile(at("c"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := must(
		os.Remove(at("c")),
		expect("link of what has no name", os.Link(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), at("again")), syscall.EXDEV),
		expect("link of what has no name", unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, at("again"), unix.AT_EMPTY_PATH), syscall.ENOENT),
	); err != nil {
		return err
	}
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 {
		return fmt.Errorf("the open file has %d links, %w", st.Nlink, err)
	}
	return must(f.Close(), lists(dir, "e", "p", "p2", "s", "s2"))
}
