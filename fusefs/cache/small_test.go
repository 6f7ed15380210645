package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func createSmall(t *testing.T, c *Cache) (*File, uint64) {
	t.Helper()
	f, gen, err := c.CreateSmall()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return f, gen
}

// sharedFiles are the files on the disk that contents share.
func sharedFiles(t *testing.T, c *Cache) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.smalls.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func closeAll(t *testing.T, files ...*File) {
	t.Helper()
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSmallNeighbours: what is done to one content in a shared file is not seen in those
// beside it.
func TestSmallNeighbours(t *testing.T) {
	c := open(t, t.TempDir())
	full := bytes.Repeat([]byte("n"), SmallMost)
	before, _ := createSmall(t, c)
	f, gen := createSmall(t, c)
	behind, _ := createSmall(t, c)
	write(t, before, full, 0)
	write(t, behind, full, 0)
	write(t, f, full, 0)
	write(t, f, []byte("content"), 3)
	if got := content(t, f); !bytes.Equal(got, append([]byte("nnncontent"), full[10:]...)) {
		t.Errorf("read %d bytes, %.20q", len(got), got)
	}

	for name, call := range map[string]func() error{
		"write behind the end":  func() error { _, err := f.WriteAt([]byte("xx"), SmallMost-1); return err },
		"write before it":       func() error { _, err := f.WriteAt([]byte("xx"), -1); return err },
		"truncate":              func() error { return f.Truncate(-1) },
		"allocate":              func() error { return f.Allocate(1, SmallMost) },
		"copy to behind":        func() error { return f.CopyRange(before, 0, 1, SmallMost) },
		"copy from behind":      func() error { return f.CopyRange(before, 1, 0, SmallMost) },
		"punch before":          func() error { return f.Punch(-5, 10) },
		"a descriptor's offset": func() error { return unix.Ftruncate(int(f.Fd()), 0) },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// The file that it is the content of may be longer, and end in a hole.
	for _, off := range []int64{SmallMost, SmallMost + 1, 10 * SmallMost} {
		if err := errors.Join(f.Punch(off, 1), f.Punch(off, math.MaxInt64-off), f.Truncate(off)); err != nil {
			t.Errorf("a hole behind the end, at %d: %v", off, err)
		}
	}
	if got := content(t, f); !bytes.Equal(got[:10], []byte("nnncontent")) || !bytes.Equal(got[10:], full[10:]) {
		t.Errorf("read %d bytes, %.20q", len(got), got)
	}
	if err := f.Punch(0, 10*SmallMost); err != nil {
		t.Error(err)
	}
	if got := content(t, f); !bytes.Equal(got, make([]byte, SmallMost)) {
		t.Error("the hole is not zeros")
	}
	if off, err := f.Find(0, false); off != 0 || err != nil {
		t.Errorf("a hole at %d, %v", off, err)
	}
	if off, err := f.Find(0, true); !errors.Is(err, unix.ENXIO) {
		t.Errorf("data at %d, %v", off, err)
	}
	write(t, f, []byte("again"), 8192)
	if off, err := f.Find(0, true); off != 8192 || err != nil {
		t.Errorf("data at %d, %v", off, err)
	}
	if off, err := before.Find(0, false); off != SmallMost || err != nil {
		t.Errorf("the hole behind a full content is at %d, %v", off, err)
	}
	if err := c.Remove(1, gen); err != nil {
		t.Error(err)
	}
	closeAll(t, f)
	if err := c.Reclaim(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(content(t, before), full) || !bytes.Equal(content(t, behind), full) {
		t.Error("a neighbour has changed")
	}
}

// TestSmallRemoved: a content that was removed is not found any more, whoever has it open
// reads it to the end, and its space is given back after that, when it is durable.
func TestSmallRemoved(t *testing.T) {
	c := open(t, t.TempDir())
	other, _ := createSmall(t, c)
	write(t, other, []byte("other"), 0)
	f, gen := createSmall(t, c)
	write(t, f, bytes.Repeat([]byte("x"), SmallMost), 0)
	if !IsSmall(gen) || IsSmall(1<<62) {
		t.Error("IsSmall")
	}
	for range 2 {
		if err := c.Remove(1, gen); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.OpenFile(1, gen); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened: %v", err)
	}
	durable := 0
	reclaim := func() error { durable++; return nil }
	if err := c.Reclaim(reclaim); err != nil || durable != 1 || c.Unused() != 1 {
		t.Errorf("while it is open: %v, %d, %d", err, durable, c.Unused())
	}
	if got := content(t, f); !bytes.Equal(got, bytes.Repeat([]byte("x"), SmallMost)) {
		t.Error("the open content has changed")
	}
	closeAll(t, f)
	failed := errors.New("not durable")
	if err := c.Reclaim(func() error { return failed }); !errors.Is(err, failed) || c.Unused() != 1 {
		t.Errorf("%v, %d left", err, c.Unused())
	}
	blocks := func() int64 {
		st, err := other.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return st.Allocated
	}
	was := blocks()
	if err := c.Reclaim(reclaim); err != nil || c.Unused() != 0 {
		t.Errorf("%v, %d left", err, c.Unused())
	}
	if now := blocks(); now > was-SmallMost {
		t.Errorf("%d bytes of %d are still taken", now, was)
	}
	got := make([]byte, 5)
	if _, err := other.ReadAt(got, 0); err != nil || string(got) != "other" {
		t.Errorf("the other reads %q, %v", got, err)
	}
}

// TestSmallRestart: after a restart there is what is kept, and nothing else. A slot is
// never given out again.
func TestSmallRestart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	var gens []uint64
	for i := range 2*slots + 3 {
		f, gen := createSmall(t, c)
		write(t, f, []byte{byte(i)}, 0)
		closeAll(t, f)
		gens = append(gens, gen)
	}
	if n := len(sharedFiles(t, c)); n != 3 {
		t.Fatalf("%d shared files", n)
	}
	c.Close()

	c = open(t, dir)
	if _, err := c.OpenFile(1, gens[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened before Keep: %v", err)
	}
	kept := gens[slots+1]
	if !c.Keep(kept) || c.Keep(kept+slots<<40) {
		t.Error("Keep")
	}
	c.Kept()
	if n := len(sharedFiles(t, c)); n != 1 {
		t.Errorf("%d shared files for one content", n)
	}
	if n := c.Unused(); n != slots-1 {
		t.Errorf("%d others", n)
	}
	if err := c.Reclaim(func() error { return nil }); err != nil {
		t.Error(err)
	}
	f, err := c.OpenFile(1, kept)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if _, err := f.ReadAt(got, 0); err != nil || got[0] != byte(1) {
		t.Errorf("read %v, %v", got, err)
	}
	closeAll(t, f)
	added, gen := createSmall(t, c)
	for _, old := range gens {
		if old == gen {
			t.Error("a slot was given out twice")
		}
	}
	closeAll(t, added)

	// The last content takes the file along.
	for _, gen := range []uint64{kept, gen} {
		if err := c.Remove(1, gen); err != nil {
			t.Error(err)
		}
	}
	if err := c.Reclaim(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if left := sharedFiles(t, c); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// TestSmallClosed: what comes after Close fails, and shared files are closed when nobody
// uses them.
func TestSmallClosed(t *testing.T) {
	c := open(t, t.TempDir())
	f, gen := createSmall(t, c)
	write(t, f, []byte("x"), 0)
	if err := f.Sync(); err != nil || !f.named.Load() {
		t.Errorf("Sync: %v", err)
	}
	closeAll(t, f)
	for name, call := range map[string]func() error{
		"ReadAt":   func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"WriteAt":  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"Truncate": func() error { return f.Truncate(0) },
		"Punch":    func() error { return f.Punch(0, 1) },
		"Allocate": func() error { return f.Allocate(0, 1) },
		"Find":     func() error { _, err := f.Find(0, true); return err },
		"Sync":     f.Sync,
		"Stat":     func() error { _, err := f.Stat(); return err },
		"Snapshot": func() error { _, err := f.Snapshot(); return err },
		"Close":    f.Close,
	} {
		if err := call(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v, want fs.ErrClosed", name, err)
		}
	}
	c.Close()
	if c.smalls.opened != 0 {
		t.Errorf("%d shared files are open", c.smalls.opened)
	}
	again, err := c.OpenFile(1, gen)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, again)
}

func TestSmallSnapshotAndCopy(t *testing.T) {
	c := open(t, t.TempDir())
	_, _ = createSmall(t, c)
	f, _ := createSmall(t, c)
	write(t, f, []byte("content"), 100)
	snapshot := snapshotOf(t, f)
	write(t, f, []byte("changed"), 100)
	got := make([]byte, 107)
	if _, err := snapshot.ReadAt(got, 0); err != nil || !bytes.Equal(got, append(make([]byte, 100), "content"...)) {
		t.Errorf("the snapshot has %q, %v", got, err)
	}
	own := create(t, c, 7, 7)
	if err := f.CopyRange(own, 100, 3, 7); err != nil {
		t.Error(err)
	}
	if err := own.CopyRange(f, 3, 0, 7); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(got[:7], 0); err != nil || string(got[:7]) != "changed" {
		t.Errorf("copied %q, %v", got[:7], err)
	}
	if n, err := f.ReadAt(make([]byte, 10), SmallMost-1); n > 1 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end %d bytes, %v", n, err)
	}
}

func TestSmallNoSpace(t *testing.T) {
	c := open(t, tinyDisk(t))
	data := bytes.Repeat([]byte("x"), SmallMost)
	for range 10 * tinySize / SmallMost {
		f, _, err := c.CreateSmall()
		if err == nil {
			_, err = f.WriteAt(data, 0)
			closeAll(t, f)
		}
		if err != nil {
			if !errors.Is(err, ErrNoSpace) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("more fits than there is")
}

func TestSmallParallel(t *testing.T) {
	c := open(t, t.TempDir())
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range slots / 2 {
				f, gen, err := c.CreateSmall()
				if err != nil {
					t.Error(err)
					return
				}
				want := bytes.Repeat([]byte{byte(worker)}, 100+i)
				_, werr := f.WriteAt(want, 0)
				again, oerr := c.OpenFile(1, gen)
				if err := errors.Join(werr, oerr); err != nil {
					t.Error(err)
					return
				}
				if i%3 == 0 {
					oerr = errors.Join(c.Remove(1, gen), c.Reclaim(func() error { return nil }))
				}
				got := make([]byte, len(want))
				if _, err := again.ReadAt(got, 0); err != nil || oerr != nil || !bytes.Equal(got, want) {
					t.Errorf("read %.10v, %v, %v", got, err, oerr)
				}
				if err := errors.Join(f.Close(), again.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkCreate compares a content file of its own with a place in one that small files share.
func BenchmarkCreate(b *testing.B) {
	data := make([]byte, 4096)
	bench := func(b *testing.B, create func(c *Cache, i uint64) (*File, uint64, error)) {
		b.Helper()
		c, err := Open(filepath.Join(b.TempDir(), "data"))
		if err != nil {
			b.Fatal(err)
		}
		var i uint64
		for b.Loop() {
			i++
			f, gen, err := create(c, i)
			if err == nil {
				_, err = f.WriteAt(data, 0)
			}
			if err == nil {
				err = errors.Join(f.Close(), c.Remove(i, gen))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("own", func(b *testing.B) {
		bench(b, func(c *Cache, i uint64) (*File, uint64, error) {
			f, err := c.Create(i, 1)
			return f, 1, err
		})
	})
	b.Run("small", func(b *testing.B) {
		bench(b, func(c *Cache, _ uint64) (*File, uint64, error) { return c.CreateSmall() })
	})
}
