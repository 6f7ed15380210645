package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Test and child meet at marker files beside the mount. Each waits for the other at most
// as long as the harness gives the child.

func marker(dir, name string) string { return dir + "." + name }

func mark(dir, name string) error { return os.WriteFile(marker(dir, name), nil, 0o600) }

func await(dir, name string) {
	for unix.Access(marker(dir, name), unix.F_OK) != nil {
		time.Sleep(time.Millisecond)
	}
}

// busy is run by many processes at once: files of its own, and names that all fight for.
func busy(dir string) error {
	own := filepath.Join(dir, fmt.Sprint(os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	for i := range 50 {
		path := filepath.Join(own, fmt.Sprint(i))
		text := fmt.Sprintf("%d of %d", i, os.Getpid())
		if err := must(os.WriteFile(path, []byte(text), 0o644), holds(path, text)); err != nil {
			return err
		}
		shared := filepath.Join(dir, fmt.Sprintf("shared-%d", i%3))
		if err := os.Rename(path, shared); err != nil {
			return err
		}
		if _, err := os.ReadFile(shared); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Remove(shared); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return must(lists(own), os.Remove(own))
}

func checkBusy(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			return fmt.Errorf("%s is left", e.Name())
		}
	}
	return nil
}

// reader starts a process that reads a file, and returns when it is in read(2).
func reader(path, command string, args ...string) (*exec.Cmd, error) {
	return waiting(func(proc string, nr int, args [3]uint64) bool {
		link, err := os.Readlink(fmt.Sprintf("%sfd/%d", proc, args[0]))
		return nr == unix.SYS_READ && err == nil && link == path
	}, command, args...)
}

// lister starts a process that opens a directory, and returns when it waits for the answer.
func lister(dir string) (*exec.Cmd, error) {
	return waiting(func(_ string, nr int, args [3]uint64) bool {
		return nr == unix.SYS_OPENAT && args[2]&unix.O_DIRECTORY != 0
	}, "ls", dir)
}

// waiting starts a process and returns when it sleeps in a system call of which waits is
// true, told the process's folder in /proc and the call's number and first arguments. That
// it ends before is an error.
func waiting(waits func(proc string, nr int, args [3]uint64) bool, command string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(command, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	for {
		stat, err := os.ReadFile(proc + "stat")
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(stat), ") Z ") {
			return nil, errors.Join(fmt.Errorf("%s ended before it waited: %s", command, output.Bytes()), cmd.Wait())
		}
		call, err := os.ReadFile(proc + "syscall")
		if err != nil {
			return nil, err
		}
		var nr int
		var a [3]uint64
		if n, _ := fmt.Sscanf(string(call), "%d 0x%x 0x%x 0x%x", &nr, &a[0], &a[1], &a[2]); n == 4 && waits(proc, nr, a) {
			return cmd, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// directReader reads past the page cache: each of its reads is a request that it waits
// for itself, and that its signals interrupt. It handles SIGINT, so that no signal ends
// it while it is in read(2): read(2) has to return.
func directReader(dir string) (*exec.Cmd, error) {
	path := filepath.Join(dir, blockedFile)
	return reader(path, "dd", "if="+path, "of=/dev/null", "iflag=direct", "bs=4096", "count=1")
}

func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		return fmt.Errorf("the reader ended with %w", err)
	}
	return nil
}

func interruptRead(dir string) error {
	cmd, err := directReader(dir)
	if err != nil {
		return err
	}
	return stop(cmd)
}

// leaveRead kills who waits for the page cache: the request that fills it goes on.
func leaveRead(dir string) error {
	path := filepath.Join(dir, blockedFile)
	cmd, err := reader(path, "cat", path)
	if err != nil {
		return err
	}
	return stop(cmd)
}

// starve has more reads waiting than there could be readers, and works beside them.
func starve(dir string) error {
	var waiting []*exec.Cmd
	for range 40 {
		cmd, err := directReader(dir)
		if err != nil {
			return err
		}
		waiting = append(waiting, cmd)
	}
	path := filepath.Join(dir, "beside")
	if err := must(os.WriteFile(path, []byte("it goes on"), 0o644), holds(path, "it goes on"), os.Remove(path)); err != nil {
		return err
	}
	for _, cmd := range waiting {
		if err := stop(cmd); err != nil {
			return err
		}
	}
	return nil
}

// holdInNamespace uses the mount in a mount namespace of its own after it was taken from
// the others', as a container does.
func holdInNamespace(dir string) error {
	runtime.LockOSThread() // a namespace is the thread's
	if err := must(
		unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		mark(dir, "ready"),
	); err != nil {
		return err
	}
	await(dir, "unmounted")
	path := filepath.Join(dir, "f")
	return must(os.WriteFile(path, []byte("served on"), 0o644), holds(path, "served on"))
}

func holdUntilAborted(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	if err := mark(dir, "ready"); err != nil {
		return err
	}
	await(dir, "aborted")
	_, err = f.WriteString("x")
	_, err2 := os.Stat(dir)
	return must(expect("write", err, syscall.ENOTCONN), expect("stat", err2, syscall.ENOTCONN))
}

// nestedMount has a file system mounted below the volume while its name is said to have
// changed, and looks at names before and after.
func nestedMount(dir string) error {
	inner := filepath.Join(dir, "inner")
	if err := must(os.Mkdir(inner, 0o755), unix.Mount("inner", inner, "tmpfs", 0, "")); err != nil {
		return err
	}
	if err := must(os.WriteFile(filepath.Join(inner, "f"), nil, 0o644), lists(dir, "inner"), mark(dir, "ready")); err != nil {
		return err
	}
	await(dir, "notified")
	return must(lists(inner, "f"), unix.Unmount(inner, 0), lists(inner), os.Remove(inner))
}

// statWithSignals looks up a name while the thread is sent signals that the program handles.
func statWithSignals(dir string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	runtime.LockOSThread()
	thread, done := unix.Gettid(), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGUSR1)
			}
		}
	}()
	var st unix.Stat_t
	return expect("stat", unix.Stat(filepath.Join(dir, "none"), &st), syscall.ENOENT)
}

// endList ends a program that waits for a listing, by a signal that it does not handle.
func endList(dir string) error {
	cmd, err := lister(dir)
	if err != nil {
		return err
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		return fmt.Errorf("ls ended with %w", err)
	}
	return nil
}
