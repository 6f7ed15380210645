package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

const punchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE

// space compares a file's size and what it is said to take, in bytes.
func (v *volume) space(path string, size, space int64) {
	v.t.Helper()
	a, err := v.stat(path)
	if err != nil || a.Size != size || a.Blocks*512 != space {
		v.t.Errorf("%s: %d bytes in %d, error %v; want %d in %d", path, a.Size, a.Blocks*512, err, size, space)
	}
}

// TestClearedIsNotFetched: what becomes zeros is neither fetched for it nor afterwards,
// not even to be sent.
func TestClearedIsNotFetched(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	const size = 8 << 20
	bucket.Set("v/f", bytes.Repeat([]byte("x"), size), objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	v.space("f", size, size)
	fh, err := v.open("f", syscall.O_RDWR, 0)
	want(t, err)
	want(t, v.Fallocate(t.Context(), fh, 0, size/2, punchHole))
	v.space("f", size, size/2)
	want(t, v.Fallocate(t.Context(), fh, size/2, size, unix.FALLOC_FL_ZERO_RANGE))
	v.space("f", size*3/2, size)
	if data, err := v.SeekData(t.Context(), fh, 0); !errors.Is(err, vfs.ErrNoData) {
		t.Errorf("data at %d, error %v", data, err)
	}
	got, err := v.readAll(fh)
	if err != nil || !bytes.Equal(got, make([]byte, size*3/2)) {
		t.Fatalf("%d bytes, error %v", len(got), err)
	}
	v.Release(fh)
	v.drain()
	if n := bucket.Count(objstore.OpGet); n > 0 {
		t.Errorf("the object was read %d times", n)
	}
	if got := bucket.Snapshot()["v/f"].Data; !bytes.Equal(got, make([]byte, size*3/2)) {
		t.Errorf("the object has %d bytes, not all zeros", len(got))
	}
}

// TestSparseStaysSparse: holes are known after the content was sent and evicted, and are
// neither fetched with what is read around them nor kept as bytes.
func TestSparseStaysSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := &slow{Bucket: bucketOf(t, memory.Options{}), first: 1 << 62}
		dir := t.TempDir()
		v := open(t, bucket, dir)
		const far = 8 << 20
		want(t, v.write("f", 0, []byte("begin"), 0))
		want(t, v.write("f", far, []byte("end"), 0))
		v.space("f", far+3, 8192)
		v.drain()
		v.space("f", far+3, 8192)
		v.close()
		v = open(t, bucket, dir, func(c *vfs.Config) { c.BootID = "another" }) // evicts
		v.space("f", far+3, 8192)
		fh, err := v.open("f", syscall.O_RDONLY, 0)
		want(t, err)
		defer v.Release(fh)
		hole, err1 := v.SeekHole(t.Context(), fh, 0)
		data, err2 := v.SeekData(t.Context(), fh, hole)
		if err := errors.Join(err1, err2); err != nil || hole != 5 || data != far {
			t.Errorf("hole at %d, data at %d, error %v", hole, data, err)
		}
		wanted := append([]byte("begin"), append(make([]byte, far-5), "end"...)...)
		for _, when := range []string{"fetched", "in memory", "recorded"} {
			if when == "recorded" {
				time.Sleep(time.Second) // so little is read from memory, and recorded a moment later
				synctest.Wait()
			}
			got, err := v.readAll(fh)
			if err != nil || !bytes.Equal(got, wanted) {
				t.Errorf("%s: read %d bytes, error %v", when, len(got), err)
			}
			if n := bucket.asked.Load(); n != 8 {
				t.Errorf("%s: %d bytes were asked for", when, n)
			}
		}
		if cached := v.State().CacheBytes; cached != 8 {
			t.Errorf("%d bytes are in the cache", cached)
		}
		v.space("f", far+3, 8192)
		if n := allocated(t, filepath.Join(dir, "data")); n > 1<<20 {
			t.Errorf("%d bytes of the disk are used", n)
		}
	})
}

// TestSmallContentOfALongFile: a file whose bytes are few, and so share a file of the local
// disk with others, can end far behind them. There it is cut, cleared and copied into like any.
func TestSmallContentOfALongFile(t *testing.T) {
	const end = 1 << 20
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	want(t, v.write("f", 0, []byte("few bytes"), syscall.O_CREAT))
	want(t, v.setSize("f", end))
	want(t, v.write("hole", 0, nil, syscall.O_CREAT))
	want(t, v.setSize("hole", end))
	fh, err := v.open("f", syscall.O_RDWR, 0)
	want(t, err)
	hole, err := v.open("hole", syscall.O_RDONLY, 0)
	want(t, err)
	want(t, v.setSize("f", end/2))
	want(t, v.Fallocate(t.Context(), fh, end/4, end, punchHole))
	want(t, v.Fallocate(t.Context(), fh, end, 4096, punchHole))
	_, err = v.CopyRange(t.Context(), vfs.Copy{From: hole, To: fh, At: end / 2, N: end / 4})
	want(t, err)
	if own, shared := v.onDisk(); len(own) > 0 || len(shared) != 1 {
		t.Fatalf("the content files are %v and %v: the content is not small", own, shared)
	}
	want(t, v.Fallocate(t.Context(), fh, end, end, unix.FALLOC_FL_ZERO_RANGE))
	content := append([]byte("few bytes"), make([]byte, 2*end-9)...)
	if got, err := v.readAll(fh); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	v.Release(fh)
	v.Release(hole)
	v.drain()
	if got := bucket.Snapshot()["v/f"].Data; !bytes.Equal(got, content) {
		t.Errorf("the object has %d bytes, or others", len(got))
	}
}

// allocated is what the files in a directory take of the disk, in bytes.
func allocated(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		n += st.Blocks * 512
		return nil
	})
	want(t, err)
	return n
}

// TestCopyFetches: bytes that only the bucket has are fetched to be copied, and no others.
func TestCopyFetches(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	const size = 20 << 20
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i >> 12)
	}
	bucket.Set("v/f", body, objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	from, err := v.open("f", syscall.O_RDONLY, 0)
	want(t, err)
	to, err := v.open("g", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	n, err := v.CopyRange(t.Context(), vfs.Copy{From: from, Off: 5 << 20, To: to, At: 3, N: 9 << 20})
	if err != nil || n != 9<<20 {
		t.Fatalf("copied %d bytes, error %v", n, err)
	}
	got, err := v.readAll(to)
	if err != nil || !bytes.Equal(got, append(make([]byte, 3), body[5<<20:14<<20]...)) {
		t.Errorf("the copy has %d bytes, error %v", len(got), err)
	}
	if a, err := v.stat("f"); err != nil || a.Blocks*512 != size {
		t.Errorf("the source takes %d bytes, error %v", a.Blocks*512, err)
	}
	if cached := v.State().CacheBytes; cached > 12<<20+9<<20 {
		t.Errorf("%d bytes are on this host", cached)
	}
	v.Release(from)
	v.Release(to)
	v.drain()
	if sent := bucket.Snapshot()["v/g"].Data; !bytes.Equal(sent, got) {
		t.Errorf("the object of the copy has %d bytes", len(sent))
	}
}

// TestReserve: writers do not use up what is to stay free of the local disk, neither by
// appending nor by filling holes nor by reserving; who takes nothing is not refused.
func TestReserve(t *testing.T) {
	v := open(t, bucketOf(t, memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.Reserve = 1 << 62 })
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	defer v.Release(fh)
	size := int64(1 << 40)
	_, _, err = v.SetAttr(t.Context(), v.ino("f"), vfs.SetAttr{Size: &size}, root)
	want(t, err)
	want(t, v.Fallocate(t.Context(), fh, 0, size, punchHole))
	_, err1 := v.Write(t.Context(), fh, 0, []byte("x"))
	_, err2 := v.Write(t.Context(), fh, size, []byte("x"))
	for _, err := range []error{err1, err2, v.Fallocate(t.Context(), fh, 0, 10, 0), v.Fallocate(t.Context(), fh, 0, 10, unix.FALLOC_FL_ZERO_RANGE)} {
		if !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("got %v, want %v", err, vfs.ErrNoSpace)
		}
	}
	v.space("f", size, 0)
}

func (v *volume) ino(path string) vfs.Ino {
	a, err := v.stat(path)
	if err != nil {
		v.t.Fatal(err)
	}
	return a.Ino
}

// TestRootAttributes: the root's mode, owner and times are found on another host, where
// the volume is the whole bucket too; so are empty directories.
func TestRootAttributes(t *testing.T) {
	for _, prefix := range []string{"v/", ""} {
		t.Run("prefix "+strings.TrimSuffix(prefix, "/"), func(t *testing.T) {
			at := func(c *vfs.Config) {
				lay, err := layout.New(prefix)
				if err != nil {
					t.Fatal(err)
				}
				c.Layout = lay
			}
			bucket, dir := bucketOf(t, memory.Options{}), t.TempDir()
			v := open(t, bucket, dir, at)
			want(t, v.mkdir("empty", 0o700))
			mode, uid, gid := uint32(0o1777), uint32(26), uint32(27)
			want(t, v.setattr("", vfs.SetAttr{Mode: &mode, UID: &uid, GID: &gid}))
			before, err := v.stat("")
			want(t, err)
			v.drain()
			for range 2 { // once with the state of this host, once without
				v.close()
				v = open(t, bucket, dir, at)
				a, err := v.stat("")
				if err != nil || a.Mode != before.Mode || a.UID != uid || a.GID != gid || !a.Mtime.Equal(before.Mtime) || !a.Ctime.Equal(before.Ctime) {
					t.Errorf("got %+v, want %+v, error %v", a, before, err)
				}
				names, err := v.names("")
				if err != nil || strings.Join(names, " ") != "empty" {
					t.Errorf("the root lists %q, error %v", names, err)
				}
				if names, err := v.names("empty"); err != nil || len(names) > 0 {
					t.Errorf("empty lists %q, error %v", names, err)
				}
				dir = t.TempDir()
			}
		})
	}
}
