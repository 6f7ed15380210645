package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	cmd := exec.Command(command, args...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", cmd.Process.Pid))
		if err != nil {
			return nil, err
		}
		var nr, fd int
		if n, _ := fmt.Sscanf(string(call), "%d 0x%x", &nr, &fd); n == 2 && nr == unix.SYS_READ {
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, fd))
			if err == nil && link == path {
				return cmd, nil
			}
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
