package vfs_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// TestStatFS: a store on this host is as large as its disk; one that is not never seems full.
func TestStatFS(t *testing.T) {
	dir := t.TempDir()
	v := open(t, memory.New(memory.Options{}), dir)
	far, err := v.StatFS(t.Context())
	want(t, err)
	if far.BlocksFree != far.Blocks || far.Blocks*uint64(far.BlockSize) < 1<<50 || far.NameMax != 255 {
		t.Errorf("a store far away is %+v", far)
	}
	v.close()

	v = open(t, memory.New(memory.Options{}), dir, func(c *vfs.Config) { c.LocalStore = true })
	defer v.close()
	got, err := v.StatFS(t.Context())
	want(t, err)
	var disk unix.Statfs_t
	want(t, unix.Statfs(dir, &disk))
	if size := disk.Blocks * uint64(disk.Frsize) / 4096; got.Blocks != size || got.BlocksFree == 0 || got.BlocksFree > size || got.FilesFree == 0 {
		t.Errorf("a local store is %+v, its disk has %d blocks of 4 KiB", got, size)
	}
}
