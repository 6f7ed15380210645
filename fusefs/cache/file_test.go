package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSparse(t *testing.T) {
	const far = 1 << 40
	f := create(t, open(t, t.TempDir()), 1, 1)
	if err := f.Truncate(far); err != nil {
		t.Fatal(err)
	}
	write(t, f, []byte("end"), far)
	st, err := f.Stat()
	if err != nil || st.Size != far+3 || st.Allocated <= 0 || st.Allocated > 1<<20 {
		t.Errorf("a file of 1 TiB and 3 bytes: %+v, %v", st, err)
	}
	got := make([]byte, 6)
	if _, err := f.ReadAt(got, far-3); err != nil || string(got) != "\x00\x00\x00end" {
		t.Errorf("read %q, %v", got, err)
	}
	if n, err := f.ReadAt(got, far); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes at the end, %v", n, err)
	}
}

func TestPunch(t *testing.T) {
	const block = 1 << 16
	f := create(t, open(t, t.TempDir()), 1, 1)
	write(t, f, bytes.Repeat([]byte("x"), 4*block), 0)
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, hole := range []struct{ off, n int64 }{{block, block}, {2*block - 1, 2}, {4*block - 1, 10 * block}, {0, 0}, {0, -1}} {
		if err := f.Punch(hole.off, hole.n); err != nil {
			t.Fatalf("Punch(%d, %d): %v", hole.off, hole.n, err)
		}
	}
	want := bytes.Repeat([]byte("x"), 4*block)
	clear(want[block : 2*block+1])
	want[4*block-1] = 0
	got := make([]byte, 4*block+1)
	if n, err := f.ReadAt(got, 0); n != len(want) || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes, %v, not what was left", n, err)
	}
	after, err := f.Stat()
	if err != nil || after.Size != before.Size || after.Allocated > before.Allocated-block {
		t.Errorf("from %+v to %+v, %v", before, after, err)
	}
}

func TestTruncate(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	write(t, f, []byte("content"), 0)
	for _, size := range []int64{3, 5} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 8)
	if n, err := f.ReadAt(got, 0); string(got[:n]) != "con\x00\x00" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := f.Truncate(-1); err == nil {
		t.Error("a negative size was accepted")
	}
}

func TestStatTimes(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	write(t, f, []byte("x"), 0)
	st, err := f.Stat()
	if err != nil || st.Mtime.IsZero() || st.Ctime.Before(st.Mtime) || time.Until(st.Mtime) > time.Minute {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestFd(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	write(t, f, []byte("x"), 0)
	got := make([]byte, 2)
	if n, err := unix.Pread(int(f.Fd()), got, 0); n != 1 || got[0] != 'x' || err != nil {
		t.Errorf("the descriptor reads %q, %v", got[:n], err)
	}
}

func TestSync(t *testing.T) {
	c := open(t, t.TempDir())
	f := create(t, c, 1, 1)
	write(t, f, []byte("x"), 0)
	for range 2 {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if !f.named.Load() {
		t.Error("the name was not synced")
	}
	// A file that lost its name is synced all the same.
	if err := c.Remove(1, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"ReadAt":   func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"WriteAt":  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"Truncate": func() error { return f.Truncate(0) },
		"Punch":    func() error { return f.Punch(0, 1) },
		"Sync":     f.Sync,
		"Stat":     func() error { _, err := f.Stat(); return err },
		"Snapshot": func() error { _, err := f.Snapshot(); return err },
		"Close":    f.Close,
	} {
		if err := call(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v, want fs.ErrClosed", name, err)
		}
	}
}

// TestParallel has every method run beside every other, for the race detector.
func TestParallel(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	var group sync.WaitGroup
	for i := range int64(4) {
		group.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + i)}, 4096)
			for off := int64(0); off < 1<<17; off += 4096 {
				at := off + i<<20
				if _, err := f.WriteAt(data, at); err != nil {
					t.Error(err)
				}
				got := make([]byte, 4096)
				if _, err := f.ReadAt(got, at); err != nil || !bytes.Equal(got, data) {
					t.Errorf("at %d: %v", at, err)
				}
			}
			if err := f.Punch(i<<20+4096, 4096); err != nil {
				t.Error(err)
			}
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
			snapshot, err := f.Snapshot()
			if err != nil {
				t.Error(err)
				return
			}
			if err := snapshot.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
