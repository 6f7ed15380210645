package vfs_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

func (v *volume) mknod(path string, mode, rdev uint32) error {
	dir, name, err := v.at(path)
	if err != nil {
		return err
	}
	_, err = v.Mknod(context.Background(), dir, name, mode, rdev, root)
	return err
}

// Special files are what they were on a host that sees them for the first time.
func TestSpecialFilesAreKeptInTheBucket(t *testing.T) {
	bucket := memory.New(memory.Options{})
	v := open(t, bucket, t.TempDir())
	rdev := uint32(unix.Mkdev(4000, 1<<19|5))
	want := map[string]vfs.Attr{
		"fifo":    {Mode: syscall.S_IFIFO | 0o640},
		"socket":  {Mode: syscall.S_IFSOCK | 0o755},
		"char":    {Mode: syscall.S_IFCHR | 0o4600, Rdev: rdev},
		"block":   {Mode: syscall.S_IFBLK | 0o600, Rdev: 8<<8 | 1},
		"regular": {Mode: syscall.S_IFREG | 0o644},
	}
	for name, a := range want {
		if err := v.mknod(name, a.Mode, a.Rdev); err != nil {
			t.Fatal(name, err)
		}
	}
	if err := v.mknod("fifo", syscall.S_IFIFO, 0); !errors.Is(err, vfs.ErrExist) {
		t.Errorf("mknod of a name that is taken: %v", err)
	}
	if err := v.mknod("dir", syscall.S_IFDIR, 0); !errors.Is(err, vfs.ErrInvalid) {
		t.Errorf("mknod of a directory: %v", err)
	}
	v.drain()
	v.close()

	there := open(t, bucket, t.TempDir())
	for name, a := range want {
		got, err := there.stat(name)
		if err != nil || got.Mode != a.Mode || got.Rdev != a.Rdev || got.Size != 0 {
			t.Errorf("%s: mode %o, device %#x, %d bytes, %v, want mode %o, device %#x", name, got.Mode, got.Rdev, got.Size, err, a.Mode, a.Rdev)
		}
	}
}
