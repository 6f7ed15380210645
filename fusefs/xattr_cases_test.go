package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// same runs a script in the mount and on the local disk: each of its lines must be equal.
func same(dir string, script func(dir string) []string) error {
	return sameAsLocal(dir, func(t *trace) error {
		t.lines = script(t.dir)
		return nil
	})
}

// getXattr shows an attribute, or the error.
func getXattr(path, name string) string {
	buf := make([]byte, 64<<10)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q", buf[:n])
}

// listXattr shows the names of attributes in order, or the error. What a security module
// of this host adds to local files is left out.
func listXattr(path string) string {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return err.Error()
	}
	names := slices.DeleteFunc(strings.Split(string(buf[:n]), "\x00"), func(name string) bool {
		return name == "" || name == "security.selinux" || name == "security.SMACK64"
	})
	slices.Sort(names)
	return strings.Join(names, " ")
}

func xattrs(dir string) error { return same(dir, xattrScript) }

// xattrScript says what every operation on extended attributes answers.
func xattrScript(dir string) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	at := func(name string) string { return filepath.Join(dir, name) }
	say("%v", must(os.WriteFile(at("f"), nil, 0o644), os.Mkdir(at("d"), 0o755), os.Symlink("f", at("l")), unix.Mkfifo(at("p"), 0o644)))
	names := []string{
		"user.a", "user.", "user", "trusted.a", "trusted.", "security.a", "security.", "system.a", "system.posix_acl_accessx", "other.a", "a", ".",
		"user." + strings.Repeat("n", 250), "user." + strings.Repeat("n", 251), "user.\xff\x01 \",:{}%~41\\", "user.posix_acl_access",
	}
	for _, file := range []string{"f", "d", "l", "p"} {
		for _, name := range names {
			set := func(value string, flags int) error { return unix.Lsetxattr(at(file), name, []byte(value), flags) }
			say("%s %q missing: %s", file, name, getXattr(at(file), name))
			say("%s %q replace missing: %v", file, name, set("-", unix.XATTR_REPLACE))
			say("%s %q create: %v", file, name, set("one", unix.XATTR_CREATE))
			say("%s %q is: %s", file, name, getXattr(at(file), name))
			say("%s %q create again: %v", file, name, set("-", unix.XATTR_CREATE))
			say("%s %q replace: %v", file, name, set("\x00\xff", unix.XATTR_REPLACE))
			say("%s %q set: %v", file, name, set("", 0))
			say("%s %q empty: %s, all: %s", file, name, getXattr(at(file), name), listXattr(at(file)))
			say("%s %q remove: %v", file, name, unix.Lremovexattr(at(file), name))
			say("%s %q remove again: %v", file, name, unix.Lremovexattr(at(file), name))
			say("%s %q left: %s", file, name, listXattr(at(file)))
		}
	}
	say("set: %v", must(unix.Setxattr(at("f"), "user.a", []byte("value"), 0), unix.Setxattr(at("f"), "user.b", nil, 0)))
	for _, size := range []int{0, 4, 5, 6} {
		n, err := unix.Getxattr(at("f"), "user.a", make([]byte, size))
		say("get into %d bytes: %d, %v", size, n, err)
		n, err = unix.Listxattr(at("f"), make([]byte, size+10))
		say("list into %d bytes: %d, %v", size+10, n, err)
	}
	say("too large: %v", unix.Setxattr(at("f"), "user.c", make([]byte, 64<<10+1), 0))
	say("no room: %v", unix.Setxattr(at("f"), "user.c", make([]byte, 64<<10), 0))
	say("left: %s", listXattr(at("f")))
	say("times of set: %s", moves(at("f"), func() error { return unix.Setxattr(at("f"), "user.t", nil, 0) }))
	say("times of remove: %s", moves(at("f"), func() error { return unix.Removexattr(at("f"), "user.t") }))
	return lines
}

// moves says which times of a file an act changes.
func moves(path string, act func() error) string {
	var before, after unix.Stat_t
	if err := must(unix.Stat(path, &before), tick(path, before), act(), unix.Stat(path, &after)); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("mtime %v, ctime %v", before.Mtim != after.Mtim, before.Ctim != after.Ctim)
}

// tick waits until the clock that stamps files shows another time than a file's ctime.
func tick(path string, st unix.Stat_t) error {
	for range 1_000 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			return err
		}
		if now != st.Ctim {
			return nil
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 1_000_000}, nil)
	}
	return fmt.Errorf("%s: the clock stands still", path)
}

func xattrsUnlinked(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	fd, buf := int(f.Fd()), make([]byte, 10)
	if err := must(unix.Fsetxattr(fd, "user.a", []byte("before"), 0), os.Remove(f.Name()), unix.Fsetxattr(fd, "user.b", []byte("after"), 0)); err != nil {
		return err
	}
	a, errA := unix.Fgetxattr(fd, "user.a", buf)
	b, errB := unix.Fgetxattr(fd, "user.b", buf)
	if a != 6 || b != 5 || string(buf[:b]) != "after" {
		return errors.Join(fmt.Errorf("%d and %d bytes", a, b), errA, errB)
	}
	return must(unix.Fremovexattr(fd, "user.a"), f.Close(), lists(dir))
}

// netRaw is the value of security.capability for cap_net_raw=ep.
var netRaw = []byte{1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

func capabilities(dir string) error {
	var lines []string
	err := same(dir, func(dir string) []string { lines = capabilityScript(dir); return lines })
	if err == nil && !strings.HasPrefix(lines[1], "run: 0000000000002000") {
		err = fmt.Errorf("the program has not the capability: %s", lines[1])
	}
	return err
}

// capabilityScript says what a program with a capability can do, and what takes it away.
func capabilityScript(dir string) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	cat, err := os.ReadFile("/bin/cat")
	path := filepath.Join(dir, "cat")
	grant := func() error { return unix.Setxattr(path, "security.capability", netRaw, 0) }
	say("%v", must(err, os.WriteFile(path, cat, 0o755), grant()))
	cmd := exec.Command(path, "/proc/self/status")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
	status, err := cmd.Output()
	_, effective, _ := bytes.Cut(status, []byte("CapEff:"))
	effective, _, _ = bytes.Cut(effective, []byte("\n"))
	say("run: %s, %v", bytes.TrimSpace(effective), err)

	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"chmod", func() error { return os.Chmod(path, 0o700) }},
		{"chown", func() error { return os.Chown(path, 1, 1) }},
		{"chown to nobody else", func() error { return os.Chown(path, -1, -1) }},
		{"write", func() error { return appendTo(path, 0) }},
		{"write directly", func() error { return appendTo(path, unix.O_DIRECT) }},
		{"truncate", func() error { return os.Truncate(path, 5) }},
		{"truncate at open", func() error { return os.WriteFile(path, nil, 0) }},
		{"rename", func() error { return must(os.Rename(path, path+"2"), os.Rename(path+"2", path)) }},
	} {
		say("%s: %v", change.what, must(grant(), change.do()))
		say("after %s: %s", change.what, getXattr(path, "security.capability"))
	}
	return lines
}

func appendTo(path string, flags int) error {
	fd, err := unix.Open(path, unix.O_WRONLY|flags, 0)
	if err != nil {
		return err
	}
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		_, err = unix.Pwrite(fd, page, 0)
	}
	return must(err, unix.Munmap(page), unix.Close(fd))
}

func writePieces(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	for i := range pieces {
		if _, err := f.WriteAt(make([]byte, 4<<10), int64(i)*4<<10); err != nil {
			return err
		}
	}
	return f.Close()
}

// pieces is how many writePieces writes.
const pieces = 500
