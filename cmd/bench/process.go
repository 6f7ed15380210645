package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs beside the bench and ends with it.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and err is set
	err   error
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
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
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
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the only error is that all have ended
	<-p.ended
}

// usage is what a program has taken of the machine.
type usage struct {
	cpu  float64 // seconds, in user and kernel mode
	peak int64   // bytes that were resident at most since clearPeak
}

// ticks is USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// usage reads what a running program has taken.
func (p *process) usage() (usage, error) {
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return usage{}, err
	}
	cpu, err := cpuSeconds(stat)
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return usage{}, err
	}
	peak, err := peakMemory(status)
	return usage{cpu, peak}, err
}

// clearPeak lets the peak begin anew with what is resident now.
func (p *process) clearPeak() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file)
}

// cpuSeconds reads utime and stime in /proc/PID/stat. The name of the program, in
// brackets before them, may have anything in it.
func cpuSeconds(stat []byte) (float64, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has only %d fields", len(fields))
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return float64(user+system) / ticks, errors.Join(err, err2)
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
