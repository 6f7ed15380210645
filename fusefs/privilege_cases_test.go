package fusefs_test

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The file's owner and group, and those who do something to it.
const (
	fileOwner = 1001
	fileGroup = 2001
	someGroup = 2002
)

var users = []struct {
	name string
	user user
}{
	{"root", user{0, 0, nil}},
	{"the owner", user{fileOwner, someGroup, nil}},
	{"the owner, of the group", user{fileOwner, someGroup, []uint32{3, fileGroup}}},
	{"another", user{1002, someGroup, nil}},
	{"another, of the group", user{1002, fileGroup, nil}},
}

// privileges does to files with setuid and setgid what takes these bits, or does not.
func privileges(t *trace) error {
	acts := []struct {
		name string
		do   func(path string) error
	}{
		{"write", func(p string) error {
			return opened(p, unix.O_WRONLY, func(fd int) error { _, err := unix.Pwrite(fd, []byte("y"), 0); return err })
		}},
		{"append", func(p string) error {
			return opened(p, unix.O_WRONLY|unix.O_APPEND, func(fd int) error { _, err := unix.Write(fd, []byte("y")); return err })
		}},
		{"write nothing", func(p string) error {
			return opened(p, unix.O_WRONLY, func(fd int) error { _, err := unix.Pwrite(fd, nil, 0); return err })
		}},
		{"truncate", func(p string) error { return unix.Truncate(p, 1) }},
		{"ftruncate", func(p string) error {
			return opened(p, unix.O_WRONLY, func(fd int) error { return unix.Ftruncate(fd, 5) })
		}},
		{"O_TRUNC", func(p string) error { return opened(p, unix.O_WRONLY|unix.O_TRUNC, nothing) }},
		{"open", func(p string) error { return opened(p, unix.O_RDWR, nothing) }},
		{"chown to nobody", func(p string) error { return unix.Chown(p, -1, -1) }},
		{"chown to the owner", func(p string) error { return unix.Chown(p, fileOwner, -1) }},
		{"chown to another", func(p string) error { return unix.Chown(p, 1002, -1) }},
		{"chgrp to the group", func(p string) error { return unix.Chown(p, -1, fileGroup) }},
		{"chgrp to their group", func(p string) error { return unix.Chown(p, -1, someGroup) }},
		{"chmod", func(p string) error { return unix.Chmod(p, 0o6711) }},
		{"chmod of setgid alone", func(p string) error { return unix.Chmod(p, 0o2701) }},
		{"utimes", func(p string) error { return unix.Utimes(p, make([]unix.Timeval, 2)) }},
		{"touch", func(p string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0) }},
	}
	for _, mode := range []uint32{0o6777, 0o4777, 0o2777, 0o2767, 0o6666, 0o2666, 0o1777, 0o777, 0o2707} {
		for _, who := range users {
			for _, act := range acts {
				path, mode := t.at("f"), mode
				made := func() error { return os.WriteFile(path, []byte("x"), 0o600) }
				if act.name == "chown to nobody" {
					// Who may write to a file drops its bits by this too: to us it looks like a
					// write that the kernel kept to itself, while the file is open for writing.
					// The last close is not told in time.
					mode &^= 0o022
					made = func() error { return unix.Mknod(path, unix.S_IFREG|0o600, 0) }
				}
				if err := must(made(), unix.Chown(path, fileOwner, fileGroup), unix.Chmod(path, mode)); err != nil {
					return err
				}
				err := as(who.user, func() error { return act.do(path) })
				t.say("%o, %s by %s: %s, %s", mode, act.name, who.name, code(err), state(path))
				if err := os.Remove(path); err != nil {
					return err
				}
			}
		}
	}
	return createdPrivileged(t)
}

// createdPrivileged writes to files that were created with setuid and setgid.
func createdPrivileged(t *trace) error {
	dir := t.at("open to all")
	if err := must(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		return err
	}
	defer unix.Umask(unix.Umask(0))
	for _, who := range users {
		for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_APPEND} {
			path := filepath.Join(dir, "f")
			var during string
			err := as(who.user, func() error {
				fd, err := unix.Open(path, flags|unix.O_CREAT|unix.O_EXCL, 0o6777)
				if err != nil {
					return err
				}
				during = state(path)
				_, err = unix.Write(fd, []byte("x"))
				during += ", " + state(path)
				return must(err, unix.Close(fd))
			})
			t.say("created and written by %s: %s, %s, %s", who.name, code(err), during, state(path))
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func nothing(int) error { return nil }

func opened(path string, flags int, fn func(fd int) error) error {
	fd, err := unix.Open(path, flags, 0o666)
	if err != nil {
		return err
	}
	return must(fn(fd), unix.Close(fd))
}

// state is what chmod and chown set.
func state(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return code(err)
	}
	return fmt.Sprintf("%o of %d:%d", st.Mode, st.Uid, st.Gid)
}

// handedDown makes all kinds of files in directories with and without setgid.
func handedDown(t *trace) error {
	makes := []struct {
		name string
		do   func(path string, mode uint32) error
	}{
		{"create", func(p string, mode uint32) error {
			fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY, mode)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}},
		{"mknod", func(p string, mode uint32) error { return unix.Mknod(p, unix.S_IFREG|mode, 0) }},
		{"mkfifo", unix.Mkfifo},
		{"device", func(p string, mode uint32) error { return unix.Mknod(p, unix.S_IFCHR|mode, 0x103) }},
		{"mkdir", unix.Mkdir},
		{"symlink", func(p string, _ uint32) error { return unix.Symlink("to", p) }},
	}
	defer unix.Umask(unix.Umask(0))
	for _, umask := range []int{0, 0o027} {
		unix.Umask(umask)
		for _, dirMode := range []uint32{0o2777, 0o2770, 0o1777} {
			for _, who := range users {
				for _, act := range makes {
					for _, mode := range []uint32{0o6777, 0o2755, 0o2745, 0o1666} {
						d := t.at("d")
						if err := must(unix.Mkdir(d, 0o777), unix.Chown(d, fileOwner, fileGroup), unix.Chmod(d, dirMode)); err != nil {
							return err
						}
						err := as(who.user, func() error { return act.do(d+"/x", mode) })
						t.say("umask %o, in %o, %s %o by %s: %s, %s", umask, dirMode, act.name, mode, who.name, code(err), state(d+"/x"))
						if err := os.RemoveAll(d); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// permissions asks for everything that depends on who asks, in directories that are open
// and closed in all ways, with a sticky one among them.
func permissions(t *trace) error {
	acts := []struct {
		name string
		do   func(path string) error
	}{
		{"stat", func(p string) error { var st unix.Stat_t; return unix.Lstat(p, &st) }},
		{"read", func(p string) error { return opened(p, unix.O_RDONLY, nothing) }},
		{"write", func(p string) error { return opened(p, unix.O_WRONLY, nothing) }},
		{"O_TRUNC", func(p string) error { return opened(p, unix.O_RDONLY|unix.O_TRUNC, nothing) }},
		{"truncate", func(p string) error { return unix.Truncate(p, 0) }},
		{"execute", func(p string) error { return unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, unix.AT_EACCESS) }},
		{"chmod", func(p string) error { return unix.Chmod(p, 0o600) }},
		{"give away", func(p string) error { return unix.Chown(p, 1002, -1) }},
		{"chgrp to the group", func(p string) error { return unix.Chown(p, -1, fileGroup) }},
		{"chgrp to a supplementary group", func(p string) error { return unix.Chown(p, -1, 3) }},
		{"chgrp to a foreign group", func(p string) error { return unix.Chown(p, -1, 4) }},
		{"touch", func(p string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0) }},
		{"set of times", func(p string) error { return setTimes(p, unix.Timespec{Sec: 5}, unix.Timespec{Sec: 6}) }},
		{"O_NOATIME", func(p string) error { return opened(p, unix.O_RDONLY|unix.O_NOATIME, nothing) }},
		{"unlink", unix.Unlink},
		{"rename", func(p string) error { return unix.Rename(p, p+"2") }},
		{"rename over it", func(p string) error { return unix.Rename(p+".other", p) }},
		{"exchange", func(p string) error { return renameat2(p+".other", p, unix.RENAME_EXCHANGE) }},
		{"link", func(p string) error { return unix.Link(p, p+"2") }},
		{"create beside it", func(p string) error { return opened(p+"2", unix.O_CREAT|unix.O_WRONLY, nothing) }},
		{"create what is there", func(p string) error { return opened(p, unix.O_CREAT|unix.O_WRONLY, nothing) }},
		{"mkdir beside it", func(p string) error { return unix.Mkdir(p+"2", 0o755) }},
		{"O_TMPFILE beside it", func(p string) error { return opened(p[:len(p)-2], unix.O_TMPFILE|unix.O_WRONLY, nothing) }},
		{"list of the directory", func(p string) error { return opened(p[:len(p)-2], unix.O_RDONLY|unix.O_DIRECTORY, nothing) }},
	}
	for _, dirMode := range []uint32{0o1777, 0o731, 0o744} {
		for _, mode := range []uint32{0o660, 0o701} {
			for _, who := range users {
				for _, act := range acts {
					d, f := t.at("d"), t.at("d/f")
					if err := must(
						unix.Mkdir(d, 0o777), unix.Chown(d, 0, fileGroup), unix.Chmod(d, dirMode),
						os.WriteFile(f, []byte("x"), 0o600), unix.Chown(f, fileOwner, fileGroup), unix.Chmod(f, mode),
						os.WriteFile(f+".other", nil, 0o666), unix.Chown(f+".other", 1002, 1002),
					); err != nil {
						return err
					}
					err := as(who.user, func() error { return act.do(f) })
					t.say("in %o, %o, %s by %s: %s, %s", dirMode, mode, act.name, who.name, code(err), state(f))
					if err := os.RemoveAll(d); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}
