package vfs_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

func (v *volume) tmpfile(dir vfs.Ino, text string) (vfs.Ino, uint64) {
	v.t.Helper()
	fh := handles.Add(2)
	e, _, err := v.Tmpfile(v.t.Context(), dir, 0o600, syscall.O_RDWR, fh, root)
	want(v.t, err)
	_, err = v.Write(v.t.Context(), fh, 0, []byte(text))
	want(v.t, err)
	return e.Ino, fh
}

// contentFiles counts the content files on this host.
func (v *volume) contentFiles() int {
	v.t.Helper()
	want(v.t, v.Cache.Reclaim(v.Index.Sync))
	count := 0
	want(v.t, filepath.WalkDir(filepath.Join(v.dir, "data"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			count++
		}
		return err
	}))
	return count
}

// A file without a name is a file to who has it open, and nothing to anyone else, the
// bucket included. It goes with its last handle, whatever comes last, or with a crash.
func TestTmpfile(t *testing.T) {
	synctest.Test(t, testTmpfile)
}

func testTmpfile(t *testing.T) {
	bucket := memory.New(memory.Options{})
	dir := t.TempDir()
	v := open(t, bucket, dir)
	ino, fh := v.tmpfile(vfs.Root, "without a name")
	if got, err := v.readAll(fh); err != nil || string(got) != "without a name" {
		t.Errorf("read %q, %v", got, err)
	}
	if a, _, err := v.GetAttr(t.Context(), ino); err != nil || a.Nlink != 0 || a.Mode != syscall.S_IFREG|0o600 {
		t.Errorf("%d links, mode %o, %v", a.Nlink, a.Mode, err)
	}
	want(t, v.Fsync(t.Context(), fh, false))
	want(t, v.Flush(t.Context(), fh))
	v.drain()
	if all := bucket.Snapshot(); len(all) != 0 {
		t.Errorf("the bucket holds %v", all)
	}
	v.Release(fh)
	v.Forget(ino, 1)
	other, fh := v.tmpfile(vfs.Root, "the other order")
	v.Forget(other, 1)
	v.Release(fh)
	time.Sleep(time.Second) // what is forgotten goes together
	for _, ino := range []vfs.Ino{ino, other} {
		if _, _, err := v.GetAttr(t.Context(), ino); !errors.Is(err, vfs.ErrNotExist) {
			t.Errorf("inode %d after its end: %v", ino, err)
		}
	}
	if n := v.contentFiles(); n != 0 {
		t.Errorf("%d content files are left", n)
	}

	lost, _ := v.tmpfile(vfs.Root, "lost in a crash")
	v.close()
	v = open(t, bucket, dir)
	defer v.close()
	if _, _, err := v.GetAttr(t.Context(), lost); !errors.Is(err, vfs.ErrNotExist) || v.contentFiles() != 0 {
		t.Errorf("after a crash: %v, %d content files", err, v.contentFiles())
	}
}

// With a name it is a file like any other.
func TestTmpfileThatGetsAName(t *testing.T) {
	bucket := memory.New(memory.Options{})
	v := open(t, bucket, t.TempDir())
	ino, fh := v.tmpfile(vfs.Root, "first ")
	want(t, v.Fsync(t.Context(), fh, false))
	_, err := v.Link(t.Context(), ino, vfs.Root, "f")
	want(t, err)
	_, err = v.Write(t.Context(), fh, 6, []byte("and last"))
	want(t, err)
	want(t, v.Flush(t.Context(), fh))
	v.Release(fh)
	v.Forget(ino, 1)
	v.drain()
	v.close()
	there := open(t, bucket, t.TempDir())
	if got, err := there.read("f"); err != nil || string(got) != "first and last" {
		t.Errorf("f is %q, %v", got, err)
	}
}

func TestTmpfileBelongsToItsDirectory(t *testing.T) {
	v := open(t, memory.New(memory.Options{}), t.TempDir())
	want(t, v.mkdir("d", 0o2755))
	gid := uint32(7)
	want(t, v.setattr("d", vfs.SetAttr{GID: &gid}))
	d, err := v.stat("d")
	want(t, err)
	ino, _ := v.tmpfile(d.Ino, "")
	if a, _, err := v.GetAttr(t.Context(), ino); err != nil || a.GID != gid {
		t.Errorf("the group is %d, %v, want the directory's", a.GID, err)
	}
	dh := handles.Add(2)
	want(t, v.OpenDir(t.Context(), d.Ino, 0, dh))
	want(t, v.rmdir("d"))
	if _, _, err := v.Tmpfile(t.Context(), d.Ino, 0o600, syscall.O_RDWR, handles.Add(2), root); !errors.Is(err, vfs.ErrNotExist) {
		t.Errorf("in a removed directory: %v", err)
	}
}
