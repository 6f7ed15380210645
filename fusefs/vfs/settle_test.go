package vfs_test

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// TestMappedIsLookedAt: a passed file that is closed and still mapped is looked at as often as
// before, however often the volume was drained meanwhile.
func TestMappedIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Options{})
		v, k := passing(t, b, func(c *vfs.Config) { c.CreatedRoom = 0 })
		fh, _ := v.create("f", 1, syscall.O_RDWR)
		_, err := v.Write(t.Context(), fh, 0, make([]byte, passMin))
		want(t, err)
		v.Release(fh)
		v.drain()
		fh = handles.Add(2)
		r, err := v.Open(t.Context(), v.ino("f"), syscall.O_RDWR, fh)
		want(t, err)
		mapping, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(k.files[r.Backing].Fd())), os.O_RDWR, 0)
		want(t, err)
		v.Release(fh)
		for range 5 {
			v.drain()
		}
		_, err = mapping.WriteAt([]byte("stored"), 0)
		want(t, err)
		time.Sleep(3 * time.Second)
		if got := b.Snapshot()["v/f"].Data; !bytes.HasPrefix(got, []byte("stored")) {
			t.Errorf("the object begins with %.6q", got)
		}
		want(t, mapping.Close())
		v.close()
	})
}
