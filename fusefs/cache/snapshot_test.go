package cache

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/extent"
)

func snapshotOf(t *testing.T, f *File) *os.File {
	t.Helper()
	snapshot, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := snapshot.Close(); err != nil {
			t.Error(err)
		}
	})
	return snapshot
}

func TestSnapshot(t *testing.T) {
	const block = 1 << 16
	type piece struct{ off, n int64 }
	odd := []piece{{61 * block, 3*block - 1}}
	random := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		odd = append(odd, piece{random.Int64N(62 * block), random.Int64N(2 * block)})
	}
	for name, file := range map[string]struct {
		size   int64
		pieces []piece
	}{
		"empty":         {0, nil},
		"small":         {1, []piece{{0, 1}}},
		"hole":          {5*block + 1, nil},
		"hole in front": {8 * block, []piece{{7 * block, block}}},
		"hole behind":   {9*block + 1, []piece{{0, block}}},
		"odd pieces":    {64 * block, odd},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, t.TempDir())
			f := create(t, c, 1, 1)
			truncate(t, f, file.size)
			for i, piece := range file.pieces {
				write(t, f, bytes.Repeat([]byte{byte(i + 1)}, int(piece.n)), piece.off)
			}
			want := content(t, f)
			snapshot := snapshotOf(t, f)
			checkCopy(t, f, snapshot, want)

			// The copy is private, and it has no name.
			write(t, f, []byte("changed"), 3)
			if got := content(t, snapshot); !bytes.Equal(got, want) {
				t.Error("a later write is in the snapshot")
			}
			count := 0
			if err := c.Walk(func(uint64, uint64, string) error { count++; return nil }); err != nil || count != 1 {
				t.Errorf("%d files after the snapshot, %v", count, err)
			}
		})
	}
}

// TestCopyByReading is the way that is left where the kernel copies nothing by itself, as
// between file systems of two kinds.
func TestCopyByReading(t *testing.T) {
	f := create(t, open(t, t.TempDir()), 1, 1)
	write(t, f, bytes.Repeat([]byte("0123456789"), 20_000), 5)
	truncate(t, f, 1<<20)
	want := content(t, f)

	fd, err := unix.MemfdCreate("copy", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	dst := os.NewFile(uintptr(fd), "copy")
	defer func() { _ = dst.Close() }() // only memory
	if err := f.copyTo(dst); err != nil {
		t.Fatal(err)
	}
	checkCopy(t, f, dst, want)
}

// checkCopy compares bytes, and that holes are not filled.
func checkCopy(t *testing.T, f *File, copied *os.File, want []byte) {
	t.Helper()
	if got := content(t, copied); !bytes.Equal(got, want) {
		t.Errorf("the copy has %d bytes and differs from the %d of its source", len(got), len(want))
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	twin, err := (&File{f: copied}).Stat()
	if err != nil || twin.Size != st.Size {
		t.Fatalf("the copy: %+v, %v, its source %+v", twin, err, st)
	}
	const slack = 1 << 18 // preallocation and block sizes
	if twin.Allocated > st.Allocated+slack {
		t.Errorf("the copy takes %d bytes, its source %d", twin.Allocated, st.Allocated)
	}
}

func truncate(t *testing.T, f *File, size int64) {
	t.Helper()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, r io.ReaderAt) []byte {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A copy of ranges has them, and takes no more space than they need.
func TestSnapshotOf(t *testing.T) {
	const block = 1 << 16
	c := open(t, t.TempDir())
	f := create(t, c, 1, 1)
	for i := range 64 {
		write(t, f, bytes.Repeat([]byte{byte(i + 1)}, block), int64(i)*block)
	}
	want := content(t, f)
	ranges := []extent.Range{{Off: 3 * block, End: 4*block + 7}, {Off: 63 * block, End: 64 * block}}
	snapshot, err := f.SnapshotOf(ranges)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snapshot.Close() }() // read only
	write(t, f, bytes.Repeat([]byte("changed"), block), 0)
	for _, r := range ranges {
		got := make([]byte, r.Len())
		if _, err := snapshot.ReadAt(got, r.Off); err != nil || !bytes.Equal(got, want[r.Off:r.End]) {
			t.Errorf("%v is another, %v", r, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(snapshot.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	shared := f.clone(snapshot) == nil
	if st.Blocks*512 > 8*block && !shared {
		t.Errorf("the copy takes %d bytes", st.Blocks*512)
	}
}
