package vfs_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// Reading sets the access time when it is due, on this host alone; the bucket hears of it
// with the file's next change.
func TestAccessTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := memory.New(memory.Options{})
		v := open(t, bucket, t.TempDir())
		want(t, v.write("f", 0, []byte("x"), 0))
		v.drain()
		old := time.Unix(1e9, 5)
		want(t, v.setattr("f", vfs.SetAttr{Atime: &old, Mtime: &old}))
		v.drain()
		set := bucket.Snapshot()["v/f"]
		if set.Metadata["atime"] != "1000000000.000000005" {
			t.Errorf("the bucket has atime %s", set.Metadata["atime"])
		}

		_, err := v.read("f")
		want(t, err)
		read, err := v.stat("f")
		want(t, err)
		if !read.Atime.After(old) || !read.Mtime.Equal(old) {
			t.Errorf("after a read: atime %v, mtime %v", read.Atime, read.Mtime)
		}
		v.drain()
		if again := bucket.Snapshot()["v/f"]; again.Metadata["atime"] != set.Metadata["atime"] {
			t.Error("a read wrote to the bucket")
		}
		mode := uint32(0o600)
		want(t, v.setattr("f", vfs.SetAttr{Mode: &mode}))
		v.drain()
		v.close()
		there := open(t, bucket, t.TempDir())
		defer there.close()
		if a, err := there.stat("f"); err != nil || !a.Atime.Equal(read.Atime) {
			t.Errorf("on another host atime is %v, %v, want %v", a.Atime, err, read.Atime)
		}
	})
}

// A file that is open need not be read by whoever opens it again: its pages are kept,
// unless the access time is due and no request to the bucket is needed for it.
func TestPagesAreKept(t *testing.T) {
	bucket := memory.New(memory.Options{})
	v := open(t, bucket, t.TempDir())
	want(t, v.write("f", 0, []byte("x"), 0))
	want(t, v.write("large", 5<<20, []byte("x"), 0))
	kept := func(path string, flags uint32) bool {
		t.Helper()
		a, err := v.stat(path)
		want(t, err)
		fh := handles.Add(2)
		r, err := v.Open(t.Context(), a.Ino, flags, fh)
		want(t, err)
		v.Release(fh)
		return r.KeepCache
	}
	for _, c := range []struct {
		what, path string
		flags      uint32
		want       bool
	}{
		{"written before", "f", syscall.O_RDONLY, false},
		{"for writing", "f", syscall.O_WRONLY, true},
		{"with O_NOATIME", "f", syscall.O_RDONLY | syscall.O_NOATIME, true},
		{"a large file", "large", syscall.O_RDONLY, true},
	} {
		if got := kept(c.path, c.flags); got != c.want {
			t.Errorf("%s: the pages are kept: %v, want %v", c.what, got, c.want)
		}
	}
	hour := time.Now().Add(time.Hour)
	want(t, v.setattr("f", vfs.SetAttr{Atime: &hour}))
	if !kept("f", syscall.O_RDONLY) {
		t.Error("the pages of what was read lately are dropped")
	}
}
