package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that runs beside the bench and ends with it, and with it all that it
// started and that is still in its group.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and err is set
	err   error

	mu     sync.Mutex // protects what follows
	reaped bool       // its number may be another's
}

// startProcess starts a program. A bench that is killed takes it along: the kernel means
// the thread that started it, which therefore waits for its end.
func startProcess(cmd *exec.Cmd) (*process, error) {
	// A group of its own: what it starts is ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	// What it started may keep its output open: after it has ended, that is not waited for.
	cmd.WaitDelay = time.Second
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.reap()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// reap waits for the end, ends what is left of the group, and only then lets the number go:
// as long as the first is not waited for, nobody else gets it.
func (p *process) reap() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break // the only other error is that there is no such child
		}
	}
	p.killGroup()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = p.cmd.Wait()
	p.reaped = true
}

// killGroup ends the program and all that it started, unless that has been done.
func (p *process) killGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the only error is that all have ended
	}
}

// within waits for the end at most for a time, and reports whether it came.
func (p *process) within(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// signal tells the program something, unless it has ended.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the program at once, with all that it started, and waits for it.
func (p *process) kill() {
	p.killGroup()
	<-p.ended
}

// peak reads the bytes that were resident at most since clearPeak.
func (p *process) peak() (int64, error) {
	status, err := os.ReadFile(proc(p.pid(), "status"))
	if err != nil {
		return 0, err
	}
	return peakMemory(status)
}

// clearPeak lets the peak begin anew with what is resident now.
func (p *process) clearPeak() error {
	return os.WriteFile(proc(p.pid(), "clear_refs"), []byte("5"), 0)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func proc(pid int, file string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), file)
}

// cpuOf reads the seconds of CPU that a running program has taken, in user and kernel mode,
// with those of its threads that have ended.
func cpuOf(pid int) (float64, error) {
	const sched = 2 // the clock of a process that counts what the scheduler gave it
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|sched), &t)
	return float64(t.Nano()) / 1e9, os.NewSyscallError("clock_gettime", err)
}

// peakMemory reads VmHWM in /proc/PID/status.
func peakMemory(status []byte) (int64, error) {
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, errors.New("status has no VmHWM")
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}
