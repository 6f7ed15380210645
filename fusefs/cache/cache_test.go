package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, dir string) *Cache {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t *testing.T, c *Cache, ino, gen uint64) *File {
	t.Helper()
	f, err := c.Create(ino, gen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return f
}

// write fails the test unless all of data is written.
func write(t *testing.T, f *File, data []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(data, off); err != nil || n != len(data) {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(data), off, n, err)
	}
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir)
	info, err := os.Stat(dir)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("made %v, %v", info.Mode(), err)
	}
	open(t, dir)

	if _, err := Open(filepath.Join(dir, "no", "data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the folder above: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("on a file: %v", err)
	}
}

func TestCreateOpenRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := open(t, dir)
	f := create(t, c, 0x1234, 5)
	write(t, f, []byte("content"), 0)

	path := filepath.Join(dir, "34", "4660.5")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if _, err := c.Create(0x1234, 5); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	if _, err := c.OpenFile(0x1234, 6); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening another generation: %v", err)
	}

	again, err := c.OpenFile(0x1234, 5)
	if err != nil {
		t.Fatal(err)
	}
	write(t, again, []byte("C"), 0)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	for range 2 {
		if err := c.Remove(0x1234, 5); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	if err := c.Remove(99, 1); err != nil {
		t.Errorf("Remove of an inode that never was: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	got := make([]byte, 7)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "Content" {
		t.Errorf("the open descriptor reads %q, %v", got, err)
	}
}

func TestWalk(t *testing.T) {
	type id struct{ ino, gen uint64 }
	dir := filepath.Join(t.TempDir(), "data")
	c := open(t, dir)
	want := map[id]bool{{1, 1}: true, {1, 2}: true, {257, 0}: true, {1<<64 - 1, 1<<63 - 1}: true}
	for file := range want {
		create(t, c, file.ino, file.gen)
	}
	for _, stray := range []string{"1.1", "01/notes", "01/01.1", "01/1.", "01/1.1.1", "01/2.1", "01/+1.1", "01/.1"} {
		if err := os.WriteFile(filepath.Join(dir, stray), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	got := make(map[id]bool)
	err := c.Walk(func(ino, gen uint64, path string) error {
		got[id{ino, gen}] = true
		if path != c.path(ino, gen) {
			t.Errorf("%d.%d lies at %s", ino, gen, path)
		}
		return c.Remove(ino, gen)
	})
	if err != nil || len(got) != len(want) {
		t.Fatalf("walked %v, %v", got, err)
	}
	for file := range want {
		if !got[file] {
			t.Errorf("%v was not walked", file)
		}
	}

	if err := c.Walk(func(uint64, uint64, string) error { t.Error("walked a removed file"); return nil }); err != nil {
		t.Error(err)
	}
	create(t, c, 1, 1)
	stop := errors.New("stop")
	if err := c.Walk(func(uint64, uint64, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error came back as %v", err)
	}
}

func TestFree(t *testing.T) {
	c := open(t, tinyDisk(t))
	free, total, err := c.Free(0)
	if err != nil || total != tinySize || free <= 0 || free > total {
		t.Fatalf("Free = %d of %d, %v", free, total, err)
	}
	less, _, err := c.Free(100)
	if err != nil || less != free-100 {
		t.Errorf("with a reserve of 100: %d, %v, want %d", less, err, free-100)
	}
	if none, _, err := c.Free(1 << 60); err != nil || none != 0 {
		t.Errorf("with a reserve larger than the disk: %d, %v", none, err)
	}
}

func TestNoSpace(t *testing.T) {
	c := open(t, tinyDisk(t))
	f := create(t, c, 1, 1)
	n, err := f.WriteAt(bytes.Repeat([]byte("x"), 2*tinySize), 0)
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("WriteAt beyond the disk: %v", err)
	}
	if st, failed := f.Stat(); failed != nil || n <= 0 || int64(n) != st.Size {
		t.Errorf("WriteAt says that %d bytes were written, the file is %+v, %v", n, st, failed)
	}
	if snapshot, err := f.Snapshot(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Snapshot on a full disk: %v, %v", snapshot, err)
	}
	if free, _, err := c.Free(0); err != nil || free != 0 {
		t.Errorf("Free = %d, %v", free, err)
	}

	if err := f.Punch(0, tinySize/2); err != nil {
		t.Fatal(err)
	}
	write(t, f, []byte("again"), 0)
}

// TestNoNodes: a disk can be full of files as well.
func TestNoNodes(t *testing.T) {
	c := open(t, tinyDisk(t))
	for ino := range uint64(tinyNodes) {
		f, err := c.Create(ino, 1)
		if err == nil {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("Create: %v, want ErrNoSpace", err)
		}
		return
	}
	t.Errorf("%d files on a disk of fewer nodes", tinyNodes)
}

const (
	tinySize  = 1 << 20
	tinyNodes = 16
)

// tinyDisk mounts a disk that is soon full.
func tinyDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, "size=1m,nr_inodes=16,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}
