package vfs_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// largeDir is a volume with a directory of so many files, listed in pages of 1,000.
func largeDir(t *testing.T, files int) (*memory.Bucket, *volume) {
	t.Helper()
	b := bucketOf(t, memory.Options{})
	for i := range files {
		b.Set(fmt.Sprintf("v/d/f%05d", i), []byte("x"), objstore.Attributes{})
	}
	return b, open(t, b, t.TempDir())
}

// reading is one who reads a directory in pieces, as the kernel does.
type reading struct {
	v      *volume
	fh     uint64
	cookie uint64
	names  []string
}

func (v *volume) reading(t *testing.T, path string) *reading {
	t.Helper()
	a, err := v.stat(path)
	want(t, err)
	r := &reading{v: v, fh: handles.Add(2)}
	want(t, v.OpenDir(t.Context(), a.Ino, 0, r.fh))
	return r
}

// next reads up to n names and reports whether there may be more.
func (r *reading) next(t *testing.T, n int) (more bool, err error) {
	t.Helper()
	read := 0
	err = r.v.ReadDir(t.Context(), r.fh, r.cookie, true, func(e vfs.DirEntry) bool {
		if read == n {
			return false
		}
		read++
		r.cookie = e.Cookie
		if e.Name != "." && e.Name != ".." {
			r.names = append(r.names, e.Name)
		}
		return true
	})
	return read == n, err
}

func (r *reading) rest(t *testing.T) error {
	t.Helper()
	for {
		if more, err := r.next(t, 100); err != nil || !more {
			return err
		}
	}
}

// wantOnce fails unless every name of largeDir and the given others were read, once each.
func (r *reading) wantOnce(t *testing.T, files int, others ...string) {
	t.Helper()
	for i := range files {
		others = append(others, fmt.Sprintf("f%05d", i))
	}
	slices.Sort(others)
	slices.Sort(r.names)
	if !slices.Equal(r.names, others) {
		t.Errorf("%d names were read, want %d", len(r.names), len(others))
	}
}

// TestReadingAlong: names are answered while the listing goes on, each once, with what is
// made and removed meanwhile.
func TestReadingAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := largeDir(t, 3500)
		defer v.close()
		_, err := v.names("") // of the directory in it nothing is listed
		want(t, err)
		held := make(chan struct{})
		b.Inject(memory.Fault{Op: objstore.OpList, Key: "v/d/", Nth: 3, Count: 1, Hook: func() { <-held }})
		r := v.reading(t, "d")
		for range 10 {
			_, err := r.next(t, 100)
			want(t, err)
		}
		if len(r.names) < 900 {
			t.Fatalf("%d names", len(r.names))
		}
		want(t, v.write("d/new", 0, []byte("x"), 0o101))
		want(t, v.unlink("d/f02500"))
		close(held)
		want(t, r.rest(t))
		v.ReleaseDir(r.fh)
		i := slices.Index(r.names, "f02500")
		if i >= 0 {
			t.Error("a removed name was read")
		}
		r.names = append(r.names, "f02500")
		r.wantOnce(t, 3500, "new")
	})
}

// TestReadingAlongAFailure: who read along with a listing that fails learns of it, and
// another listing shows the rest.
func TestReadingAlongAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := largeDir(t, 2500)
		defer v.close()
		_, err := v.names("")
		want(t, err)
		failure := errors.New("the store is on fire")
		b.Inject(memory.Fault{Op: objstore.OpList, Key: "v/d/", Nth: 3, Count: 1, Err: failure})
		r := v.reading(t, "d")
		if err := r.rest(t); !errors.Is(err, failure) {
			t.Errorf("the end of the names is %v", err)
		}
		v.ReleaseDir(r.fh)
		r = v.reading(t, "d")
		want(t, r.rest(t))
		v.ReleaseDir(r.fh)
		r.wantOnce(t, 2500)
	})
}

// TestReadingAlongARename: the names of a directory that is renamed while it is listed are
// all read.
func TestReadingAlongARename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := largeDir(t, 2500)
		defer v.close()
		_, err := v.names("")
		want(t, err)
		b.Inject(memory.Fault{Op: objstore.OpList, Key: "v/d/", Nth: 3, Count: 1, Delay: time.Second})
		r := v.reading(t, "d")
		_, err = r.next(t, 100)
		want(t, err)
		want(t, v.rename("d", "e"))
		want(t, r.rest(t))
		v.ReleaseDir(r.fh)
		r.wantOnce(t, 2500)
	})
}
