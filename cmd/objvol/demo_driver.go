package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// startTimeout is how long the demo's driver may take to answer.
	startTimeout = 20 * time.Second
	// endTimeout is how long it may take to stop: more than its own limit.
	endTimeout = 70 * time.Second
)

// demoProcess is the demo's driver, a child of this process.
type demoProcess struct {
	pid   int
	ended chan struct{} // closed when it has ended
	err   error         // how; readable then
}

// startDriver starts a driver on a socket and waits until it answers.
func (s *stage) startDriver(ctx context.Context, socket string) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if s.metrics, err = freeAddress(); err != nil {
		return err
	}
	log, err := os.Create(s.path("serve.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	arguments := []string{"serve", "--socket", socket, "--state-dir", "state", "--metrics-addr", s.metrics}
	s.say("$ objvol " + strings.Join(arguments, " ") + " 2>serve.log &")
	cmd := exec.Command(binary, arguments...)
	cmd.Dir, cmd.Stderr, cmd.Env = s.dir, log, demoEnvironment(os.Environ())
	// A demo that is killed takes its driver along; Ctrl-C does not reach the driver.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if s.driver, err = startProcess(cmd); err != nil {
		return err
	}
	return s.driver.await(ctx, "http://"+s.metrics+"/healthz")
}

// demoEnvironment leaves out all settings: they would lead the driver to another store.
func demoEnvironment(all []string) []string {
	var told []string
	for _, s := range settings {
		told = append(append(told, s.variable()), s.aws...)
	}
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(told, name)
	})
}

// startProcess starts a process from a thread that waits for its end: the parent whose
// death the kernel tells the child is a thread.
func startProcess(cmd *exec.Cmd) (*demoProcess, error) {
	p := &demoProcess{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// await returns when the URL answers.
func (p *demoProcess) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if answers(ctx, url) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the driver has ended: %w", p.err)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errInterrupted
			}
			return fmt.Errorf("the driver does not answer within %v", startTimeout)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // its status says all
	return resp.StatusCode == http.StatusOK
}

// stop ends the driver as an init system would.
func (p *demoProcess) stop() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the driver had ended: %w", p.err)
	default:
	}
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil {
		return os.NewSyscallError("kill", err)
	}
	select {
	case <-p.ended:
		return p.unlessTerminated()
	case <-time.After(endTimeout):
		err := os.NewSyscallError("kill", syscall.Kill(p.pid, syscall.SIGKILL))
		<-p.ended
		return errors.Join(fmt.Errorf("the driver did not stop within %v and was killed", endTimeout), err)
	}
}

// unlessTerminated is how the process ended. One that began only just may end of the signal
// itself.
func (p *demoProcess) unlessTerminated() error {
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	return p.err
}

// freeAddress finds an address where nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
