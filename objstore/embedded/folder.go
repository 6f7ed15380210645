//go:build !noembedded

package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folder is the store's place on the disk. While it is open, no other process opens it.
type folder struct {
	path string // absolute
	file *os.File
}

func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	d := &folder{path: path}
	if err := errors.Join(os.MkdirAll(d.objects(), 0o700), os.Chmod(path, 0o700)); err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	if d.file, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	if err := d.check(); err != nil {
		return nil, errors.Join(err, d.file.Close())
	}
	return d, nil
}

func (d *folder) objects() string     { return filepath.Join(d.path, "objects") }
func (d *folder) credentials() string { return filepath.Join(d.path, "credentials.json") }
func (d *folder) socket() string      { return filepath.Join(d.path, "s3.sock") }

// check locks the folder and finds out whether it can hold a store.
func (d *folder) check() error {
	if err := unix.Flock(int(d.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("embedded store: lock %s: another process serves it: %w", d.path, err)
	}
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1 // bytes
	if n := len(d.socket()); n > longest {
		return fmt.Errorf("embedded store: %s: the path of a socket has at most %d bytes, this has %d: choose a shorter state directory", d.socket(), longest, n)
	}
	// Objects keep their ETag and metadata in user xattrs.
	const probe = "user.objvol.probe"
	err := unix.Setxattr(d.objects(), probe, []byte("1"), 0)
	if err == nil {
		err = unix.Removexattr(d.objects(), probe)
	}
	if err != nil {
		return fmt.Errorf("embedded store: the file system of %s keeps no user xattrs (%w): ext4, xfs, btrfs and zfs do, tmpfs since Linux 6.6: choose another state directory", d.path, err)
	}
	return nil
}

// sync writes everything of the file system to the disk.
func (d *folder) sync() error { return unix.Syncfs(int(d.file.Fd())) }

func (d *folder) close() error { return d.file.Close() }
