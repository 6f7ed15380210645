package cache

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// passable returns an empty cache with a content file of one page, or skips the test where
// the file system is blind.
func passable(t *testing.T) (*Cache, *File) {
	t.Helper()
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CanPass(); err != nil {
		t.Skip(err)
	}
	f, err := c.Create(7, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	return c, f
}

func marked(t *testing.T, f *File) bool {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return st.Mtime.Equal(Marked)
}

// TestMark: every write after a mark shows, also at once, also through a mapping whose page
// was written to before.
func TestMark(t *testing.T) {
	c, w := passable(t)
	r, err := c.OpenRead(7, 1)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(w.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	change := map[string]func() error{
		"write":    func() error { _, err := w.WriteAt([]byte("x"), 0); return err },
		"truncate": func() error { return w.Truncate(4096) },
		"store":    func() error { mapped[1]++; return nil },
		"punch":    func() error { return w.Punch(0, 4096) },
	}
	for range 20 {
		for name, fn := range change {
			if err := errors.Join(r.Mark(), r.Clean()); err != nil || !marked(t, r) {
				t.Fatalf("not marked: %v", err)
			}
			if err := fn(); err != nil || marked(t, r) {
				t.Fatalf("%s does not show: %v", name, err)
			}
		}
	}
	// To read is no change.
	if err := r.Mark(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadAt(make([]byte, 10), 0); err != nil || !marked(t, r) {
		t.Errorf("a read shows as a change: %v", err)
	}
	if err := errors.Join(unix.Munmap(mapped), r.Close(), w.Close()); err != nil {
		t.Error(err)
	}
}

// TestLeases: who has a file open or mapped, and how, is known.
func TestLeases(t *testing.T) {
	c, w := passable(t)
	r, err := c.OpenRead(7, 1)
	if err != nil {
		t.Fatal(err)
	}
	is := func(when string, unwritten, unused bool) {
		t.Helper()
		gotWritten, err1 := r.Unwritten()
		gotUsed, err2 := r.Unused()
		if err := errors.Join(err1, err2); err != nil || gotWritten != unwritten || gotUsed != unused {
			t.Errorf("%s: unwritten %v, unused %v, %v", when, gotWritten, gotUsed, err)
		}
	}
	is("open for writing", false, false)
	forWriting, err1 := unix.Mmap(int(w.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	other, err2 := os.Open(c.path(7, 1))
	if err := errors.Join(err1, err2, w.Close()); err != nil {
		t.Fatal(err)
	}
	is("mapped for writing", false, false)
	forReading, err := unix.Mmap(int(other.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err := errors.Join(err, unix.Munmap(forWriting)); err != nil {
		t.Fatal(err)
	}
	is("open for reading", true, false)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	is("mapped for reading", true, false)
	if err := unix.Munmap(forReading); err != nil {
		t.Fatal(err)
	}
	is("alone", true, true)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.OpenRead(7, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

// TestBlindFileSystem: tmpfs does not tell of stores through a mapping.
func TestBlindFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	c, err := Open(dir + "/data")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CanPass(); !errors.Is(err, errBlind) {
		t.Errorf("tmpfs: %v", err)
	}
}

// TestUnread: a read shows after Unread, however recent the access time was.
func TestUnread(t *testing.T) {
	c, w := passable(t)
	defer func() { _ = w.Close() }()
	r, err := c.OpenRead(7, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for range 2 {
		if err := r.Unread(); err != nil {
			t.Fatal(err)
		}
		if st, err := r.Stat(); err != nil || !st.Atime.Equal(Marked) {
			t.Fatalf("not read: %v, %v", st.Atime, err)
		}
		if _, err := w.ReadAt(make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
		if st, err := r.Stat(); err != nil || !st.Atime.After(Marked) {
			t.Fatalf("read: %v, %v", st.Atime, err)
		}
	}
}
