package vfs_test

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// told reads the names of a directory from the first to the last, so many at once, and
// counts those that came with their attributes.
func (v *volume) told(dir vfs.Ino, plus bool, atOnce int) (names, whole int) {
	v.t.Helper()
	fh := handles.Add(2)
	want(v.t, v.OpenDir(v.t.Context(), dir, 0, fh))
	defer v.ReleaseDir(fh)
	for cookie, more := uint64(0), true; more; {
		n := 0
		more = false
		want(v.t, v.ReadDir(v.t.Context(), fh, cookie, plus, func(e vfs.DirEntry) bool {
			if n++; n > atOnce {
				more = true
				return false
			}
			cookie = e.Cookie
			if e.Name != "." && e.Name != ".." {
				names++
				if e.Ino == 0 || e.Type != syscall.S_IFREG {
					v.t.Errorf("%s: inode %d, type %o", e.Name, e.Ino, e.Type)
				}
			}
			if e.Entry != nil {
				whole++
			}
			return true
		}))
	}
	return names, whole
}

// TestToldOnce: what the kernel knows of a directory it is not told again, as long as it
// remembers it and nothing else was found there.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files = 2500
		b := bucketOf(t, memory.Options{})
		for i := range files {
			b.Set(fmt.Sprintf("v/d/f%d", i), []byte("x"), objstore.Attributes{})
		}
		v := open(t, b, t.TempDir(), func(c *vfs.Config) { c.TTL = 10 * time.Second })
		defer v.close()
		d, err := v.stat("d")
		want(t, err)
		read := func(what string, plus bool, names, whole int) {
			t.Helper()
			synctest.Wait()
			if n, w := v.told(d.Ino, plus, 200); n != names || w != whole {
				t.Errorf("%s: %d names, %d with attributes, want %d and %d", what, n, w, names, whole)
			}
		}
		read("the first time, along with the listing", true, files, files)
		read("again", true, files, 0)
		want(t, v.write("d/new", 0, []byte("x"), 0))
		read("with a file that the kernel has made", true, files+1, 0)
		v.Forget(d.Ino, 1)
		read("after the kernel has forgotten an inode", true, files+1, files+1)
		read("and once more", true, files+1, 0)

		v.Forget(d.Ino, 1)
		read("names alone", false, files+1, 0)
		read("after names alone", true, files+1, files+1)

		v.drain()
		time.Sleep(6 * time.Second)
		read("in the second half of the listing's life, which makes the next one", true, files+1, 0)
		synctest.Wait()
		read("after a new listing", true, files+1, files+1)
		read("after that", true, files+1, 0)
	})
}

// TestToldInPart: a reading that did not come to the end tells nothing for the next.
func TestToldInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		for i := range 10 {
			b.Set(fmt.Sprintf("v/f%d", i), []byte("x"), objstore.Attributes{})
		}
		v := open(t, b, t.TempDir())
		defer v.close()
		fh := handles.Add(2)
		want(t, v.OpenDir(t.Context(), vfs.Root, 0, fh))
		var cookie uint64
		want(t, v.ReadDir(t.Context(), fh, 0, true, func(e vfs.DirEntry) bool { cookie = e.Cookie; return e.Name != "f5" }))
		want(t, v.ReadDir(t.Context(), fh, cookie, false, func(vfs.DirEntry) bool { return true }))
		v.ReleaseDir(fh)
		if n, whole := v.told(vfs.Root, true, 100); n != 10 || whole != 10 {
			t.Errorf("%d names, %d with attributes", n, whole)
		}
	})
}
