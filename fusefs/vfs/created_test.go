package vfs_test

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// kernel is a passer whose files a test writes to.
type kernel struct {
	mu    sync.Mutex
	last  int32
	files map[int32]*os.File
}

func (k *kernel) Register(fd uintptr) (int32, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.files == nil {
		k.files = make(map[int32]*os.File)
	}
	k.last++
	k.files[k.last] = f
	return k.last, nil
}

func (k *kernel) Release(id int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.files[id].Close() // written through the descriptor before
	delete(k.files, id)
}

// passMin is the smallest file, in bytes, that the volumes of these tests pass.
const passMin = 8 << 10

// passing is a volume with a kernel that takes files.
func passing(t *testing.T, bucket objstore.Bucket, change func(*vfs.Config)) (*volume, *kernel) {
	t.Helper()
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) {
		c.PassthroughMin, c.CreatedRoom = passMin, 1
		change(c)
	})
	if err := v.Cache.CanPass(); err != nil {
		t.Skip(err)
	}
	k := &kernel{}
	v.SetPasser(k)
	return v, k
}

// create has a thread create a file with more flags of open(2).
func (v *volume) create(name string, thread, flags uint32) (fh uint64, r vfs.OpenResult) {
	v.t.Helper()
	fh = handles.Add(2)
	e, r, err := v.Create(v.t.Context(), vfs.Root, name, 0o644, syscall.O_CREAT|syscall.O_EXCL|flags, fh, vfs.Caller{Thread: thread})
	want(v.t, err)
	if r.Backing != 0 && e.AttrTTL != 0 {
		v.t.Errorf("attributes of %s may be remembered", name)
	}
	return fh, r
}

// TestCreatedFilesOfAThread: what a thread creates is passed, one file at a time, and not any
// more after one that stayed small, until one becomes large.
func TestCreatedFilesOfAThread(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v, k := passing(t, bucket, func(*vfs.Config) {})
	data := bytes.Repeat([]byte{'x'}, passMin)
	for _, step := range []struct {
		name   string
		thread uint32
		size   int
		passed bool
	}{
		{"first", 1, passMin, true},
		{"after a large one", 1, passMin - 1, true},
		{"after a small one", 1, 1, false},
		{"of another thread", 2, 0, true},
		{"after an empty one", 2, passMin, false},
		{"after one that grew", 2, passMin, true},
		{"still after a small one", 1, passMin, false},
		{"and after a large one", 1, passMin, true},
		{"of nobody knows whom", 0, passMin, true},
	} {
		fh, r := v.create(step.name, step.thread, syscall.O_WRONLY)
		if passed := r.Backing != 0; passed != step.passed {
			t.Fatalf("%s: passed %v", step.name, passed)
		}
		var err error
		if r.Backing != 0 {
			_, err = k.files[r.Backing].Write(data[:step.size])
		} else {
			_, err = v.Write(t.Context(), fh, 0, data[:step.size])
		}
		want(t, err)
		v.Release(fh)
		if a, _, err := v.GetAttr(t.Context(), v.ino(step.name)); err != nil || a.Size != int64(step.size) {
			t.Fatalf("%s has %d bytes, %v", step.name, a.Size, err)
		}
		want(t, v.Drain(t.Context()))
		if got := bucket.Snapshot()["v/"+step.name].Data; !bytes.Equal(got, data[:step.size]) {
			t.Fatalf("%s: the object has %d bytes", step.name, len(got))
		}
	}
	one, r := v.create("one", 3, syscall.O_RDWR)
	two, s := v.create("two", 3, syscall.O_RDWR)
	if r.Backing == 0 || s.Backing != 0 {
		t.Errorf("two files at a time: %+v, %+v", r, s)
	}
	v.Release(one)
	v.Release(two)
	if len(k.files) != 0 {
		t.Errorf("%d files are left to the kernel", len(k.files))
	}
}

// TestCreatedMediated: what is created comes to us where it has to.
func TestCreatedMediated(t *testing.T) {
	for name, test := range map[string]struct {
		flags  uint32
		change func(*vfs.Config)
	}{
		"for reading":           {syscall.O_RDONLY, func(*vfs.Config) {}},
		"each write synced":     {syscall.O_WRONLY | syscall.O_DSYNC, func(*vfs.Config) {}},
		"all synced":            {syscall.O_WRONLY | syscall.O_SYNC, func(*vfs.Config) {}},
		"no room on the disk":   {syscall.O_WRONLY, func(c *vfs.Config) { c.CreatedRoom = 1 << 60 }},
		"not wanted":            {syscall.O_WRONLY, func(c *vfs.Config) { c.CreatedRoom = 0 }},
		"without any to passed": {syscall.O_WRONLY, func(c *vfs.Config) { c.PassthroughMin = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := passing(t, bucketOf(t, memory.Options{}), test.change)
			fh, r := v.create("f", 1, test.flags)
			if r.Backing != 0 {
				t.Error("it is passed")
			}
			v.Release(fh)
		})
	}
}

// TestTruncatedAtOpen: a file that is emptied by its open is passed if it was large before.
func TestTruncatedAtOpen(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v, k := passing(t, bucket, func(*vfs.Config) {})
	for _, size := range []int{passMin, passMin - 1} {
		name := fmt.Sprint(size)
		fh, _ := v.create(name, uint32(size), syscall.O_WRONLY|syscall.O_SYNC)
		_, err := v.Write(t.Context(), fh, 0, make([]byte, size))
		want(t, err)
		v.Release(fh)
		fh = handles.Add(2)
		r, err := v.Open(t.Context(), v.ino(name), syscall.O_WRONLY|syscall.O_TRUNC, fh)
		want(t, err)
		if passed := r.Backing != 0; passed != (size == passMin) {
			t.Errorf("%d bytes: passed %v", size, passed)
		}
		if r.Backing != 0 {
			_, err = k.files[r.Backing].Write([]byte("new"))
		} else {
			_, err = v.Write(t.Context(), fh, 0, []byte("new"))
		}
		want(t, err)
		v.Release(fh)
		want(t, v.Drain(t.Context()))
		if got := bucket.Snapshot()["v/"+name].Data; string(got) != "new" {
			t.Errorf("the object is %.8q of %d bytes", got, len(got))
		}
	}
}
