package vfs_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// listings counts those of a bucket that ask for metadata, and those that do not.
type listings struct {
	objstore.Bucket
	full, bare atomic.Int32
}

func (l *listings) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	if opts.Bare {
		l.bare.Add(1)
	} else {
		l.full.Add(1)
	}
	return l.Bucket.List(ctx, opts)
}

// TestListedAgain: a directory is listed again without metadata. A page with an object that
// is new, that was changed, or that only has other attributes is asked for once more.
func TestListedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{ContentETags: true})
		attrs := func(mode string) objstore.Attributes {
			return objstore.Attributes{Metadata: map[string]string{"mode": mode}}
		}
		b.Set("v/d/", nil, objstore.Attributes{ContentType: "application/x-directory", Metadata: map[string]string{"mode": "16832"}})
		for f := range 2500 {
			b.Set(fmt.Sprintf("v/d/f%04d", f), []byte("x"), attrs("33152"))
		}
		var l listings
		v := open(t, b, t.TempDir(), shortly, func(c *vfs.Config) { l.Bucket, c.Bucket = c.Bucket, &l })
		defer v.close()
		look := func(what string, files int, full, bare int32, heads int) {
			t.Helper()
			synctest.Wait()
			b.Forget()
			l.full.Store(0)
			l.bare.Store(0)
			names, err := v.names("d")
			if err != nil || len(names) != files {
				t.Errorf("%s: %d names, %v", what, len(names), err)
			}
			synctest.Wait()
			if l.full.Load() != full || l.bare.Load() != bare {
				t.Errorf("%s: %d listings with metadata, %d without, want %d and %d", what, l.full.Load(), l.bare.Load(), full, bare)
			}
			if n := b.Count(objstore.OpHead); n != heads {
				t.Errorf("%s: %d looks at single objects, want %d", what, n, heads)
			}
		}
		_, err := v.names("d")
		want(t, err)
		// Of each round, one without metadata is of the root, and one with them of overflow names.
		time.Sleep(2 * time.Second)
		look("nothing changed", 2500, 1, 4, 0)

		time.Sleep(2 * time.Second)
		b.Set("v/d/f0007", []byte("x"), attrs("33188")) // in the first page
		b.Set("v/d/f0008", []byte("longer"), attrs("33152"))
		b.Set("v/d/f2499+", []byte("x"), attrs("33060")) // in the last one
		b.Remove("v/d/f1500")
		look("some changed", 2500, 3, 4, 1) // the one that is gone is looked for
		for name, mode := range map[string]uint32{"f0007": 0o644, "f0008": 0o600, "f2499+": 0o444, "f2400": 0o600} {
			if a, err := v.stat("d/" + name); err != nil || a.Mode&0o7777 != mode {
				t.Errorf("%s: mode %o, %v, want %o", name, a.Mode, err, mode)
			}
		}
		if a, err := v.stat("d/f0008"); err != nil || a.Size != 6 {
			t.Errorf("f0008: %d bytes, %v", a.Size, err)
		}
	})
}

// TestListedAgainAfterOurs: what was written here is compared with its metadata once, and asked
// for with them at once.
func TestListedAgainAfterOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		var l listings
		v := open(t, b, t.TempDir(), shortly, func(c *vfs.Config) { l.Bucket, c.Bucket = c.Bucket, &l })
		defer v.close()
		want(t, v.mkdir("d", 0o755))
		for f := range 20 {
			want(t, v.write(fmt.Sprintf("d/f%d", f), 0, []byte("x"), 0))
		}
		v.drain()
		var full, bare []int32
		for range 3 {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			l.full.Store(0)
			l.bare.Store(0)
			names, err := v.names("d")
			if err != nil || len(names) != 20 {
				t.Errorf("%d names, %v", len(names), err)
			}
			synctest.Wait()
			full, bare = append(full, l.full.Load()), append(bare, l.bare.Load())
		}
		// Later on, only the overflow names are listed so.
		if full[0] <= full[1] || full[1] != 1 || full[2] != 1 {
			t.Errorf("listings with metadata: %v", full)
		}
		if bare[0] != 0 || bare[1] == 0 || bare[2] == 0 {
			t.Errorf("listings without metadata: %v", bare)
		}
	})
}

// TestHiddenIsNoNews: what cannot be shown is asked for with its metadata once, not at each
// listing; what can be shown after all is.
func TestHiddenIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		for _, key := range []string{"v/d/f", "v/d/%~41", "v/d/", "v/d/foo", "v/d/foo/x", "v/d/.."} {
			b.Set(key, []byte("of "+key), objstore.Attributes{Metadata: map[string]string{"mode": "33216"}})
		}
		b.Set("v/d/", []byte("no marker"), objstore.Attributes{})
		var l listings
		v := open(t, b, t.TempDir(), shortly, func(c *vfs.Config) { l.Bucket, c.Bucket = c.Bucket, &l })
		defer v.close()
		// Of each round, one listing with metadata is of overflow names.
		round := func(what string, full int32, heads int, names ...string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			b.Forget()
			l.full.Store(0)
			v.list("d", names...)
			synctest.Wait()
			if n := l.full.Load(); n != full {
				t.Errorf("%s: %d listings with metadata, want %d", what, n, full)
			}
			if n := b.Count(objstore.OpHead); n != heads {
				t.Errorf("%s: %d looks at single objects, want %d", what, n, heads)
			}
		}
		v.list("d", "f", "foo")
		for range 2 {
			round("nothing changed", 1, 0, "f", "foo")
		}
		b.Set("v/d/foo", []byte("other"), objstore.Attributes{Metadata: map[string]string{"mode": "33216"}})
		round("a hidden object changed", 2, 0, "f", "foo")
		round("and not again", 1, 0, "f", "foo")
		if total := v.State().Hidden; total[layout.HiddenShadowed] != 1 || total[layout.HiddenContent] != 1 || total[layout.HiddenEscape] != 1 {
			t.Errorf("hidden keys: %v", total)
		}
		b.Remove("v/d/foo/x")
		round("the file takes the name of a directory that is gone", 1, 1, "f", "foo")
		if a, err := v.stat("d/foo"); err != nil || a.Mode != 0o100700 || a.Size != 5 {
			t.Errorf("foo: mode %o, %d bytes, %v", a.Mode, a.Size, err)
		}
	})
}
