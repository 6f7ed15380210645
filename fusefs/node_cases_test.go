package fusefs_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// specialFiles makes one of each kind and uses it.
func specialFiles(dir string) error {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	at := func(name string) string { return filepath.Join(dir, name) }
	null := int(unix.Mkdev(1, 3))
	large := unix.Mkdev(4000, 1<<19|5)
	if err := must(
		unix.Mkfifo(at("fifo"), 0o666), isNode(at("fifo"), unix.S_IFIFO|0o640, 0),
		unix.Mknod(at("regular"), unix.S_IFREG|0o666, 0), isNode(at("regular"), unix.S_IFREG|0o640, 0),
		unix.Mknod(at("typeless"), 0o666, 0), isNode(at("typeless"), unix.S_IFREG|0o640, 0),
		unix.Mknod(at("char"), unix.S_IFCHR|0o666, null), isNode(at("char"), unix.S_IFCHR|0o640, uint64(null)),
		unix.Mknod(at("block"), unix.S_IFBLK|0o666, int(large)), isNode(at("block"), unix.S_IFBLK|0o640, large),
		unix.Mknod(at("socket"), unix.S_IFSOCK|0o666, 0), isNode(at("socket"), unix.S_IFSOCK|0o640, 0),
		expect("again", unix.Mkfifo(at("fifo"), 0o666), syscall.EEXIST),
		expect("mknod of a directory", unix.Mknod(at("dir"), unix.S_IFDIR|0o755, 0), syscall.EPERM),
		os.WriteFile(at("regular"), []byte("bytes"), 0), holds(at("regular"), "bytes"),
	); err != nil {
		return err
	}
	_, device := unix.Open(at("char"), unix.O_RDWR, 0)
	_, socket := unix.Open(at("socket"), unix.O_RDWR, 0)
	return must(
		expect("open of a device", device, syscall.EACCES), // nodev
		expect("open of a socket", socket, syscall.ENXIO),
		through(at("fifo")), connects(at("bound")),
		os.Rename(at("fifo"), at("moved")), isNode(at("moved"), unix.S_IFIFO|0o640, 0),
		os.Remove(at("moved")),
		lists(dir, "block", "bound", "char", "regular", "socket", "typeless"),
	)
}

// isNode compares what mknod(2) sets.
func isNode(path string, mode uint32, rdev uint64) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if st.Mode != mode || st.Rdev != rdev || st.Nlink != 1 {
		return fmt.Errorf("%s: mode %o, device %#x, %d links, want mode %o, device %#x", path, st.Mode, st.Rdev, st.Nlink, mode, rdev)
	}
	return nil
}

// through sends a line through a fifo between two openings of it.
func through(fifo string) error {
	sent := make(chan error, 1)
	go func() { sent <- os.WriteFile(fifo, []byte("a line"), 0) }()
	return must(holds(fifo, "a line"), <-sent)
}

// connects binds a socket to a path and connects to it.
func connects(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	return must(c.Close(), l.Close(), expect("connect", unixDial(path), syscall.ECONNREFUSED))
}

func unixDial(path string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

// tmpfile makes files without a name.
func tmpfile(dir string) error {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "tmpfile")
	_, err1 := f.WriteString("nameless")
	buf := make([]byte, 8)
	_, err2 := f.ReadAt(buf, 0)
	var st unix.Stat_t
	if err := must(err1, err2, unix.Fstat(fd, &st)); err != nil || string(buf) != "nameless" || st.Nlink != 0 || st.Mode != unix.S_IFREG|0o640 || st.Size != 8 {
		return fmt.Errorf("%q, %w, %d links, mode %o, %d bytes", buf, err, st.Nlink, st.Mode, st.Size)
	}
	_, file := unix.Open(dir+"/f", unix.O_TMPFILE|unix.O_RDWR, 0o600)
	return must(
		f.Truncate(3), f.Sync(), lists(dir),
		expect("in what is not there", file, syscall.ENOENT),
		f.Close(), lists(dir),
		named(dir),
	)
}

// named gives files without a name one, unless they are never to have any.
func named(dir string) error {
	path := filepath.Join(dir, "f")
	link := func(fd int) error {
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	return must(
		opened(dir, unix.O_TMPFILE|unix.O_EXCL|unix.O_WRONLY, func(fd int) error {
			return expect("a name for O_EXCL", link(fd), syscall.ENOENT)
		}),
		opened(dir, unix.O_TMPFILE|unix.O_WRONLY, func(fd int) error {
			_, err1 := unix.Write(fd, []byte("before "))
			err2 := link(fd)
			_, err3 := unix.Write(fd, []byte("and after"))
			return must(err1, err2, err3, links(path, 1), expect("again", link(fd), syscall.EEXIST))
		}),
		holds(path, "before and after"), lists(dir, "f"),
	)
}

// renamedOver is a file that lost its name to another while it is open.
func renamedOver(dir string) error {
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	if err := must(os.WriteFile(path, []byte("old"), 0o644), os.WriteFile(other, []byte("new"), 0o644)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := os.Rename(other, path); err != nil {
		return err
	}
	_, err1 := f.WriteAt([]byte("er"), 3)
	err2 := f.Truncate(4)
	err3 := unix.Fchmod(int(f.Fd()), 0o600)
	buf := make([]byte, 4)
	_, err4 := f.ReadAt(buf, 0)
	var st unix.Stat_t
	err5 := unix.Fstat(int(f.Fd()), &st)
	if err := must(err1, err2, err3, err4, err5); err != nil || string(buf) != "olde" || st.Nlink != 0 || st.Mode != unix.S_IFREG|0o600 {
		return fmt.Errorf("%q, %w, %d links, mode %o", buf, err, st.Nlink, st.Mode)
	}
	return must(f.Sync(), f.Close(), holds(path, "new"), has(path, 0o644, 0, 0), lists(dir, "f"))
}

// replacedAllTheTime has a file renamed over again and again: whoever looks finds one of
// the files whole, and never no name.
func replacedAllTheTime(dir string) error {
	const times = 1000
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
		return err
	}
	replaced := make(chan error, 1)
	go func() {
		for range times {
			if err := must(os.WriteFile(path+".new", []byte("after!"), 0o644), os.Rename(path+".new", path)); err != nil {
				replaced <- err
				return
			}
		}
		replaced <- nil
	}()
	for {
		select {
		case err := <-replaced:
			return must(err, lists(dir, "f"))
		default:
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != "before" && string(got) != "after!" {
			return fmt.Errorf("%q, %w", got, err)
		}
	}
}
