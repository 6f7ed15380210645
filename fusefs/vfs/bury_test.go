package vfs_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// TestForgotten: unlinked inodes go soon after the kernel forgot them, however many, but
// for one that was opened again.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := open(t, bucketOf(t, memory.Options{}), t.TempDir())
		defer v.close()
		const files = 200
		var inos []vfs.Ino
		for i := range files {
			name := fmt.Sprint("f", i)
			want(t, v.write(name, 0, []byte("x"), 0o101))
			inos = append(inos, v.ino(name))
		}
		v.drain()
		held := handles.Add(2)
		_, err := v.Open(t.Context(), inos[7], 0, held)
		want(t, err)
		for i, ino := range inos {
			want(t, v.unlink(fmt.Sprint("f", i)))
			v.Forget(ino, 1)
		}
		orphans := func() (n int) {
			want(t, v.index.Orphans(func(vfs.Ino) bool { n++; return true }))
			return n
		}
		time.Sleep(time.Second)
		if n := orphans(); n != 1 {
			t.Errorf("%d inodes are left, want the open one", n)
		}
		if data, err := v.readAll(held); err != nil || string(data) != "x" {
			t.Errorf("read %q, %v", data, err)
		}
		v.Release(held)
		time.Sleep(time.Second)
		if n, files := orphans(), v.contentFiles(); n != 0 || files != 0 {
			t.Errorf("%d inodes and %d content files are left", n, files)
		}
	})
}
