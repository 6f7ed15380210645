package vfs_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// TestPeek: who walks a tree costs one request for each directory; one with a marker has
// its attributes, one without the volume's.
func TestPeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs = 50
		b := bucketOf(t, memory.Options{})
		fill(b, dirs, 20)
		b.Set("v/d7/", nil, objstore.Attributes{ContentType: "application/x-directory", Metadata: map[string]string{"mode": "16832", "uid": "77"}})
		v := open(t, b, t.TempDir())
		defer v.close()
		within(t, b, "open the volume", budget{objstore.OpHead: 1, objstore.OpList: 1})
		names, err := v.names("")
		want(t, err)
		if len(names) != dirs {
			t.Errorf("%d directories", len(names))
		}
		within(t, b, "list the root with the attributes of 50 directories", budget{objstore.OpList: dirs + 2})
		for _, name := range names {
			a, err := v.stat(name)
			want(t, err)
			mode, uid := uint32(0o755), uint32(0)
			if name == "d7" {
				mode, uid = 0o700, 77
			}
			if a.Mode&0o7777 != mode || a.UID != uid || a.Mtime.IsZero() || a.Nlink != 2 {
				t.Errorf("%s: %+v", name, a)
			}
			if files, err := v.names(name); err != nil || len(files) != 20 {
				t.Errorf("%s: %d files, %v", name, len(files), err)
			}
		}
		within(t, b, "walk them", nil)
	})
}

// TestPeekIsBounded: directories that nobody enters are not listed without end, and large
// ones not at all.
func TestPeekIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs = 60
		b := bucketOf(t, memory.Options{})
		fill(b, dirs, 900)
		for i := range 1001 {
			b.Set(fmt.Sprintf("v/large/f%d", i), []byte("x"), objstore.Attributes{})
		}
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("")
		want(t, err)
		listed := 0
		for i := range dirs {
			b.Forget()
			_, err := v.names(fmt.Sprintf("d%d", i))
			want(t, err)
			if b.Count(objstore.OpList) == 0 {
				listed++
			}
		}
		// Those that were under way when the bound was met are listed still.
		if listed == 0 || listed > 20_000/900+1+32 {
			t.Errorf("%d directories of 900 files were listed before anybody entered them", listed)
		}
		b.Forget()
		if names, err := v.names("large"); err != nil || len(names) != 1001 || b.Count(objstore.OpList) == 0 {
			t.Errorf("a large directory has %d names, %v", len(names), err)
		}
	})
}
