package vfs_test

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// TestLinkUnsent: a file that gets its names before any of it was sent is one file under all
// of them, here and in the bucket, whether they are few or many.
func TestLinkUnsent(t *testing.T) {
	for _, names := range []int{2, 3, 64, 65, 100} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := bucketOf(t, memory.Options{})
				v := open(t, bucket, t.TempDir())
				defer v.close()
				want(t, v.write("0", 0, []byte("x"), 0))
				all := []string{"0"}
				for i := 1; i < names; i++ {
					all = append(all, fmt.Sprint(i))
					want(t, v.link(all[i-1], all[i]))
				}
				want(t, v.rename("0", "a"))
				all[0] = "a"
				v.wantLinks(uint32(names), "x", all...)
				v.drain()
				v.wantLinks(uint32(names), "x", all...)
				for _, name := range all {
					if got := bucket.Snapshot()["v/"+name]; string(got.Data) != "x" {
						t.Errorf("%s holds %q", name, got.Data)
					}
				}
				if got := linkRecords(bucket); !slices.Equal(got, []string{fmt.Sprint(names)}) {
					t.Errorf("the bucket counts %q links, want %d", got, names)
				}
			})
		})
	}
}

// TestLinkUnsentFsync: when fsync returns, the bucket has each name.
func TestLinkUnsentFsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		want(t, v.mkdir("d", 0o755))
		want(t, v.write("a", 0, []byte("x"), 0))
		want(t, v.link("a", "d/b"))
		fh, err := v.open("a", syscall.O_RDWR, 0)
		want(t, err)
		bucket.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/d/b", Delay: 5 * time.Second})
		want(t, v.Fsync(t.Context(), fh, false))
		for _, key := range []string{"v/a", "v/d/b"} {
			if got := bucket.Snapshot()[key]; string(got.Data) != "x" {
				t.Errorf("%s holds %q", key, got.Data)
			}
		}
		v.Release(fh)
	})
}

// TestLinkUnsentCrash: names that a process gave before it could send anything are there in the
// next one, and then in the bucket.
func TestLinkUnsentCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, dir := bucketOf(t, memory.Options{}), t.TempDir()
		v := open(t, bucket, dir)
		want(t, v.write("tmp", 0, []byte("x"), 0))
		want(t, v.link("tmp", "a"))
		want(t, v.unlink("tmp"))
		want(t, v.write("b", 0, []byte("y"), 0))
		want(t, v.link("b", "c"))
		v.close()
		v = open(t, bucket, dir)
		defer v.close()
		v.wantLinks(1, "x", "a")
		v.wantLinks(2, "y", "b", "c")
		v.drain()
		want(t, v.unlink("b"))
		v.drain()
		v.wantLinks(1, "x", "a")
		v.wantLinks(1, "y", "c")
		if got := linkRecords(bucket); !slices.Equal(got, []string{"1"}) {
			t.Errorf("the bucket counts %q links, want 1", got)
		}
	})
}

// TestLinkUnsentConflict: where another writer's object is found at one of the names, that name
// is its own, and the others stay.
func TestLinkUnsentConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		_, err := v.names("")
		want(t, err)
		// The end of a write to the key is unknown, and its file has left it.
		bucket.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/b", Err: objstore.ErrUnavailable, Hook: func() {
			bucket.Set("v/b", []byte("theirs"), objstore.Attributes{})
			want(t, v.rename("b", "c"))
		}})
		linked := false
		bucket.Inject(memory.Fault{Op: objstore.OpHead, Key: "v/b", Hook: func() {
			linked = true
			want(t, v.write("a", 0, []byte("ours"), 0))
			want(t, v.link("a", "b"))
		}})
		want(t, v.write("b", 0, []byte("older"), 0))
		v.drain()
		if !linked {
			t.Fatal("nobody has looked for the end of the write")
		}
		v.wantLinks(1, "ours", "a")
		v.wantLinks(1, "theirs", "b")
		v.wantLinks(1, "older", "c")
	})
}

// TestLinkUnsentRefused: that one name of a file can be a key says nothing of another.
func TestLinkUnsentRefused(t *testing.T) {
	var err error
	v := open(t, bucketOf(t, memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.Layout, err = layout.New("") })
	defer v.close()
	want(t, err)
	for _, name := range []string{"-", "z"} { // before and after what is refused
		want(t, v.write(name, 0, []byte("x"), 0))
		if err := v.link(name, ".objvol"); !errors.Is(err, vfs.ErrNotPermitted) {
			t.Errorf("link %s: %v", name, err)
		}
		want(t, v.link(name, name+"2"))
		for _, name := range []string{name, name + "2"} {
			if err := v.rename(name, ".objvol"); !errors.Is(err, vfs.ErrNotPermitted) {
				t.Errorf("rename %s: %v", name, err)
			}
		}
		v.wantLinks(2, "x", name, name+"2")
	}
}

// TestLinkUnsentReplaced: a rename over one of the names takes that name alone.
func TestLinkUnsentReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		for _, name := range []string{"a", "c"} {
			want(t, v.write(name, 0, []byte("x"), 0))
			want(t, v.link(name, name+"2"))
			want(t, v.link(name, name+"3"))
		}
		want(t, v.write("y", 0, []byte("y"), 0))
		want(t, v.rename("y", "a"))
		v.exchange(t, "a2", "c2")
		v.exchange(t, "c", "c3")
		for range 2 {
			v.wantLinks(1, "y", "a")
			v.wantLinks(2, "x", "c2", "a3")
			v.wantLinks(3, "x", "c", "c3", "a2")
			v.drain()
		}
		for name, content := range map[string]string{"a": "y", "a2": "x", "a3": "x", "c": "x", "c2": "x", "c3": "x"} {
			if got := bucket.Snapshot()["v/"+name]; string(got.Data) != content {
				t.Errorf("%s holds %q, want %q", name, got.Data, content)
			}
		}
	})
}
