package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trace does things in a directory and writes down what came of them.
type trace struct {
	dir   string
	lines []string
}

func (t *trace) at(name string) string { return filepath.Join(t.dir, name) }

func (t *trace) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// sameAsLocal lets fn do its things in the volume and in a local directory beside it, and
// compares what it wrote down.
func sameAsLocal(dir string, fn func(t *trace) error) error {
	local := dir + ".local"
	if err := must(os.Mkdir(local, 0o755), os.Chmod(local, 0o755)); err != nil {
		return err
	}
	want, got := &trace{dir: local}, &trace{dir: dir}
	if err := must(fn(want), fn(got)); err != nil {
		return err
	}
	if len(want.lines) == 0 || len(want.lines) != len(got.lines) {
		return fmt.Errorf("%d lines, locally %d", len(got.lines), len(want.lines))
	}
	var errs []error
	for i, line := range want.lines {
		if got.lines[i] != line {
			errs = append(errs, fmt.Errorf("got %s, locally %s", got.lines[i], line))
		}
	}
	return errors.Join(errs...)
}

// code is the errno of an error, in a word.
func code(err error) string {
	if err == nil {
		return "done"
	}
	if n, ok := errors.AsType[syscall.Errno](err); ok {
		return unix.ErrnoName(n)
	}
	return err.Error()
}

// user is someone with supplementary groups. User 0 is root with all capabilities.
type user struct {
	uid, gid int
	groups   []uint32
}

// as runs fn as a user. Credentials are a thread's: the thread ends with fn.
func as(u user, fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var list unsafe.Pointer
		if len(u.groups) > 0 {
			list = unsafe.Pointer(&u.groups[0])
		}
		for _, call := range []func() syscall.Errno{
			func() syscall.Errno {
				_, _, e := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.groups)), uintptr(list), 0)
				return e
			},
			func() syscall.Errno {
				_, _, e := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(u.gid), uintptr(u.gid), uintptr(u.gid))
				return e
			},
			func() syscall.Errno {
				_, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(u.uid), uintptr(u.uid), uintptr(u.uid))
				return e
			},
		} {
			if e := call(); e != 0 {
				result <- e
				return
			}
		}
		result <- fn()
	}()
	return <-result
}
