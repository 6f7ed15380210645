package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/mounttest"
)

// filesystem is a program that mounts a prefix of the bucket, in the foreground, and ends
// with the mount at SIGTERM.
type filesystem struct {
	name    string
	peer    bool // objvol is compared with it
	markers bool // it writes an object for each directory
	foreign bool // its objects are not files: nobody else can make or list them
	command func(m mountpoint) (*exec.Cmd, error)
}

// mountpoint is where something is mounted.
type mountpoint struct {
	store   store
	prefix  string // below the bucket, without a slash at its end
	dir     string
	state   string   // an empty directory for what it keeps on this host
	options []string // of objvol: key=value
}

// cache is where those that have other state too keep content.
func (m mountpoint) cache() string { return filepath.Join(m.state, "cache") }

// volume is a mount that is served by a program.
type volume struct {
	fs      filesystem
	at      mountpoint
	log     string // the path of what the program says
	process *process
}

const (
	mountLimit = time.Minute      // until it can be used
	endLimit   = 3 * time.Minute  // until objvol has sent everything
	peerEnd    = 30 * time.Second // until another has ended
)

// mount starts the program and waits until it can be used.
func (v *volume) mount(ctx context.Context) (err error) {
	cmd, err := v.fs.command(v.at)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(v.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(plain(os.Environ()), cmd.Env...)
	cmd.Dir = "/"
	if v.process, err = startProcess(cmd); err != nil {
		return err
	}
	if err := v.awaitMount(ctx); err != nil {
		v.process.kill()
		return errors.Join(v.told("mount", err), detach(v.at.dir))
	}
	return nil
}

// plain leaves out of an environment what would tell a filesystem of another store.
func plain(env []string) []string {
	return slices.DeleteFunc(env, func(variable string) bool {
		return strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "OBJVOL_")
	})
}

// awaitMount returns when the directory is another filesystem's.
func (v *volume) awaitMount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mountLimit)
	defer cancel()
	for {
		is, err := mounted(v.at.dir)
		if err != nil || is {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-v.process.ended:
			return fmt.Errorf("it ended: %w", v.process.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unmount ends the program, which sends all that is pending first.
func (v *volume) unmount() error {
	limit := endLimit
	if v.fs.peer {
		limit = peerEnd
	}
	v.process.signal(syscall.SIGTERM)
	if v.process.within(limit) {
		err := v.process.err
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && v.fs.peer {
			err = nil // some end by the signal
		}
		if err != nil {
			err = v.told("unmount", err)
		}
		return errors.Join(err, detach(v.at.dir))
	}
	err := v.told("unmount", fmt.Errorf("it does not end within %v", limit))
	v.process.signal(syscall.SIGQUIT) // a Go program says where it is
	v.process.within(time.Second)
	err = errors.Join(err, mounttest.Abort(v.at.dir))
	v.process.kill()
	return errors.Join(err, detach(v.at.dir))
}

// told adds to an error where the program's log is, or the end of a peer's: that log goes.
func (v *volume) told(what string, err error) error {
	if !v.fs.peer {
		return fmt.Errorf("%s %s: %w; see %s", what, v.fs.name, err, v.log)
	}
	said, unread := os.ReadFile(v.log)
	said = bytes.TrimSpace(said)
	return errors.Join(fmt.Errorf("%s %s: %w\n%s", what, v.fs.name, err, said[max(0, len(said)-1000):]), unread)
}

// remount forgets what is in the kernel, and keeps what is on the disk.
func (v *volume) remount(ctx context.Context) error {
	if err := v.unmount(); err != nil {
		return err
	}
	return v.mount(ctx)
}

// mounted reports whether something is mounted on dir, without asking what it is.
func mounted(dir string) (bool, error) {
	here, err := mounttest.Device(dir)
	above, err2 := mounttest.Device(filepath.Dir(dir))
	return here != above, errors.Join(err, err2)
}

// detach takes away what a program left mounted.
func detach(dir string) error {
	is, err := mounted(dir)
	if err != nil || !is {
		return err
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "unmount", Path: dir, Err: err}
	}
	return fmt.Errorf("a mount was left on %s", dir)
}
