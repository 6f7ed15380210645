package fusefs_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/mounttest"
)

// locker takes an exclusive lock on a whole file, or waits for it.
type locker struct {
	take func(f *os.File, wait bool) error
	// anyClose: the lock goes when any descriptor of the file is closed.
	anyClose bool
}

func record(set, wait int) func(*os.File, bool) error {
	return func(f *os.File, waits bool) error {
		cmd := set
		if waits {
			cmd = wait
		}
		return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: unix.F_WRLCK})
	}
}

var lockers = map[string]locker{
	"flock": {take: func(f *os.File, wait bool) error {
		how := unix.LOCK_EX
		if !wait {
			how |= unix.LOCK_NB
		}
		return unix.Flock(int(f.Fd()), how)
	}},
	"posix": {take: record(unix.F_SETLK, unix.F_SETLKW), anyClose: true},
	"ofd":   {take: record(unix.F_OFD_SETLK, unix.F_OFD_SETLKW)},
}

// holdLock holds a lock of the kind that the first line of its input names. Further lines
// tell it to close its descriptor or another one of the file.
func holdLock(dir string) error {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	f, err := os.OpenFile(filepath.Join(dir, "locked"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := lockers[in.Text()].take(f, false); err != nil {
		return err
	}
	for fmt.Println("done"); in.Scan(); fmt.Println("done") {
		closed := f
		if in.Text() == "close another" {
			if closed, err = os.Open(f.Name()); err != nil {
				return err
			}
		}
		if err := closed.Close(); err != nil {
			return err
		}
	}
	return in.Err()
}

// holder is a process that holds a lock.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newHolder(dir, kind string) (*holder, error) {
	cmd := mounttest.Command(dir, "lock: hold")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := must(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	h := &holder{cmd, in, bufio.NewReader(out)}
	return h, h.tell(kind)
}

func (h *holder) tell(what string) error {
	if _, err := fmt.Fprintln(h.in, what); err != nil {
		return err
	}
	_, err := h.out.ReadString('\n')
	return err
}

func (h *holder) end() error {
	return must(h.in.Close(), h.cmd.Wait())
}

// contended waits until the kernel has somebody waiting for a lock on a file.
func contended(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	place := fmt.Sprintf(":%d ", st.Ino)
	for {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(locks)) {
			if strings.Contains(line, "->") && strings.Contains(line, place) {
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// locks takes each kind of lock away from other processes: while they hold it, when they
// close the file, and when they die.
func locks(dir string) error {
	f, err := os.Create(filepath.Join(dir, "locked"))
	if err != nil {
		return err
	}
	for kind, l := range lockers {
		if err := must(lockClosed(dir, kind, l), lockKilled(dir, kind, l), f.Sync()); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return must(f.Close(), lockedBy(dir))
}

// tried takes a lock without waiting and gives it back.
func tried(path string, l locker) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return must(l.take(f, false), f.Close())
}

func lockClosed(dir, kind string, l locker) error {
	path := filepath.Join(dir, "locked")
	h, err := newHolder(dir, kind)
	if err != nil {
		return err
	}
	var another syscall.Errno
	if !l.anyClose {
		another = syscall.EAGAIN
	}
	return must(
		expect("held", tried(path, l), syscall.EAGAIN),
		h.tell("close another"), expect("after another descriptor was closed", tried(path, l), another),
		h.tell("close"), expect("after it was closed", tried(path, l), 0), h.end(),
	)
}

func lockKilled(dir, kind string, l locker) error {
	h, err := newHolder(dir, kind)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "locked"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var killed atomic.Bool
	got := make(chan error, 1)
	go func() {
		err := l.take(f, true)
		if err == nil && !killed.Load() {
			err = fmt.Errorf("the lock was taken while another process had it")
		}
		got <- err
	}()
	if err := contended(f); err != nil {
		return err
	}
	killed.Store(true)
	if err := h.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = h.cmd.Wait() // killed
	return must(<-got, f.Close())
}

// lockedBy asks who holds parts of a file, and takes what nobody holds.
func lockedBy(dir string) error {
	h, err := newHolder(dir, "posix")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "locked"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	asked := unix.Flock_t{Type: unix.F_RDLCK, Start: 10, Len: 5}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &asked); err != nil {
		return err
	}
	if asked.Type != unix.F_WRLCK || int(asked.Pid) != h.cmd.Process.Pid || asked.Start != 0 || asked.Len != 0 {
		return fmt.Errorf("F_GETLK says %+v of process %d", asked, h.cmd.Process.Pid)
	}
	return must(h.end(), f.Close())
}

// leases are the kernel's own, as locks are: it grants them among the processes of this
// host, or, where it is new enough to leave them to a filesystem, refuses them.
func leases(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	lease := func(kind int) error {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, kind)
		return err
	}
	open := func() error {
		fd, err := unix.Open(f.Name(), unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
	if err := lease(unix.F_WRLCK); err != nil {
		return must(expect("F_SETLEASE", err, syscall.EINVAL), open(), f.Close())
	}
	got, err := unix.FcntlInt(f.Fd(), unix.F_GETLEASE, 0)
	if err != nil || got != unix.F_WRLCK {
		return fmt.Errorf("F_GETLEASE: %d, %w", got, err)
	}
	return must(
		expect("open of what another leases", open(), syscall.EAGAIN),
		lease(unix.F_UNLCK), expect("open after the lease", open(), 0), f.Close(),
	)
}
