package main

import (
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

// volume is a mount that is served by a program.
type volume struct {
	fs      filesystem
	at      mountpoint
	log     string // the path of what the program says
	process *process
}

const (
	mountLimit = time.Minute     // until it can be used
	endLimit   = 3 * time.Minute // until it has sent everything
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
		return errors.Join(fmt.Errorf("mount %s: %w; see %s", v.fs.name, err, v.log), detach(v.at.dir))
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
	v.process.signal(syscall.SIGTERM)
	if v.process.within(endLimit) {
		err := v.process.err
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && v.fs.name != objvolName {
			err = nil // some end by the signal
		}
		if err != nil {
			err = fmt.Errorf("unmount %s: %w; see %s", v.fs.name, err, v.log)
		}
		return errors.Join(err, detach(v.at.dir))
	}
	err := fmt.Errorf("%s does not end within %v; see %s", v.fs.name, endLimit, v.log)
	v.process.signal(syscall.SIGQUIT) // a Go program says where it is
	v.process.within(time.Second)
	err = errors.Join(err, mounttest.Abort(v.at.dir))
	v.process.kill()
	return errors.Join(err, detach(v.at.dir))
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
