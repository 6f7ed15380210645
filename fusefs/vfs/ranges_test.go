package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// unit is what the operations on ranges are multiples of, so that a local disk finds holes
// where the volume does.
const unit = 64 << 10

// ranges is a file of a volume and a local one that the same is done to.
type ranges struct {
	*volume
	fh uint64
	f  *os.File
}

// openRanges opens the file, which is made if it is not there.
func openRanges(t *testing.T, v *volume, dir, name string) ranges {
	t.Helper()
	fh, err := v.open(name, syscall.O_RDWR|syscall.O_CREAT, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return ranges{v, fh, f}
}

func (r ranges) end() {
	r.Release(r.fh)
	_ = r.f.Close()
}

// do does one thing to both, or copies: holes stay holes then, as on few local disks.
func (r ranges) do(rng *rand.Rand, to ranges, copies bool) (string, error, error) {
	ctx := context.Background()
	off, n := unit*rng.Int64N(12), unit*(1+rng.Int64N(6))
	switch rng.IntN(8) {
	case 0, 1:
		data := bytes.Repeat([]byte{byte('A' + rng.IntN(26))}, int(n))
		_, err := r.Write(ctx, r.fh, off, data)
		_, local := r.f.WriteAt(data, off)
		return fmt.Sprintf("write %d+%d", off, n), err, local
	case 2:
		_, _, err := r.SetAttr(ctx, r.ino(), vfs.SetAttr{Size: &off}, root)
		return fmt.Sprintf("truncate %d", off), err, r.f.Truncate(off)
	case 3:
		at := unit * rng.Int64N(12)
		if !copies || r.fh == to.fh && off < at+n && at < off+n {
			return "nothing", nil, nil
		}
		copied, err := r.CopyRange(ctx, vfs.Copy{From: r.fh, Off: off, To: to.fh, At: at, N: n})
		local, lerr := unix.CopyFileRange(int(r.f.Fd()), &off, int(to.f.Fd()), &at, int(n), 0)
		if copied != local {
			err = fmt.Errorf("copied %d bytes and not %d: %w", copied, local, err)
		}
		return fmt.Sprintf("copy to %d+%d", at, n), err, lerr
	default:
		const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
		mode := []uint32{0, keep, zero, zero | keep, punch | keep, punch | keep}[rng.IntN(6)]
		return fmt.Sprintf("fallocate %x %d+%d", mode, off, n), r.Fallocate(ctx, r.fh, off, n, mode), fallocateLocal(r.f, mode, off, n)
	}
}

// fallocateLocal does without zeroing where the local disk cannot.
func fallocateLocal(f *os.File, mode uint32, off, n int64) error {
	fd, keep := int(f.Fd()), mode&unix.FALLOC_FL_KEEP_SIZE
	err := unix.Fallocate(fd, mode, off, n)
	if mode&unix.FALLOC_FL_ZERO_RANGE == 0 || !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return errors.Join(unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n), unix.Fallocate(fd, keep, off, n))
}

func (r ranges) ino() vfs.Ino {
	a, err := r.stat(filepath.Base(r.f.Name()))
	if err != nil {
		r.t.Fatal(err)
	}
	return a.Ino
}

// holes are the bytes of a file in which holes were found, one for each unit: '.' is a
// hole, '#' data.
func holes(tb testing.TB, size int64, data, hole func(int64) (int64, error)) string {
	tb.Helper()
	var all strings.Builder
	for at := int64(0); at < size; {
		from, err := data(at)
		if errors.Is(err, vfs.ErrNoData) || errors.Is(err, unix.ENXIO) {
			from = size
		} else if err != nil {
			tb.Fatal(err)
		}
		all.WriteString(strings.Repeat(".", int((from-at)/unit)))
		if at = from; at == size {
			break
		}
		to, err := hole(at)
		if err != nil || to <= at {
			tb.Fatalf("hole behind %d at %d, error %v", at, to, err)
		}
		all.WriteString(strings.Repeat("#", int((to-at)/unit)))
		at = to
	}
	return all.String()
}

// check compares both: their bytes and, where exact is set, their holes. What the volume
// says is a hole holds zeros always.
func (r ranges) check(exact bool) error {
	got, err := r.readAll(r.fh)
	if err != nil {
		return err
	}
	want, err := os.ReadFile(r.f.Name())
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes differ from the %d wanted", len(got), len(want))
	}
	size := int64(len(got))
	ctx := context.Background()
	ours := holes(r.t, size,
		func(at int64) (int64, error) { return r.SeekData(ctx, r.fh, at) },
		func(at int64) (int64, error) { return r.SeekHole(ctx, r.fh, at) })
	for i, c := range []byte(ours) {
		if c == '.' && !bytes.Equal(got[i*unit:(i+1)*unit], make([]byte, unit)) {
			return fmt.Errorf("unit %d of %s is no hole", i, ours)
		}
	}
	seek := func(whence int) func(int64) (int64, error) {
		return func(at int64) (int64, error) { return unix.Seek(int(r.f.Fd()), at, whence) }
	}
	if theirs := holes(r.t, size, seek(unix.SEEK_DATA), seek(unix.SEEK_HOLE)); exact && ours != theirs {
		return fmt.Errorf("holes: got %s, want %s", ours, theirs)
	}
	return nil
}

// TestRangesModel does the same to two files of a volume and two local ones: writes,
// truncation, all that fallocate can, copies between and within. Bytes and holes are the
// same, also after crashes; the bytes after eviction, and on another host.
func TestRangesModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runRanges(t, seed) })
		})
	}
}

func runRanges(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 4))
	bucket, dir, local := bucketOf(t, memory.Options{}), t.TempDir(), t.TempDir()
	v := open(t, bucket, dir)
	files := []ranges{openRanges(t, v, local, "a"), openRanges(t, v, local, "b")}
	exact := true
	again := func(dir string, change ...func(*vfs.Config)) {
		for i, f := range files {
			f.end()
			files[i].f = nil
		}
		v.close()
		v = open(t, bucket, dir, change...)
		files = []ranges{openRanges(t, v, local, "a"), openRanges(t, v, local, "b")}
	}
	var log []string
	for step := range 120 {
		i := rng.IntN(2)
		copies := step >= 60
		exact = exact && !copies
		what, got, want := files[i].do(rng, files[rng.IntN(2)], copies)
		log = append(log, files[i].f.Name()+" "+what)
		if got != nil || want != nil {
			t.Fatalf("%s: got %v, want %v", strings.Join(log, "\n"), got, want)
		}
		switch rng.IntN(20) {
		case 0:
			v.drain()
		case 1: // a crash
			again(dir)
		case 2: // all that is clean is fetched again
			v.drain()
			again(dir, func(c *vfs.Config) { c.BootID = fmt.Sprint("boot", len(log)) })
			exact = false
		case 3: // the host is lost, after everything was sent
			v.drain()
			dir = t.TempDir()
			again(dir)
			exact = false
		}
		for _, f := range files {
			if err := f.check(exact); err != nil {
				t.Fatalf("%v after\n%s", err, strings.Join(log, "\n"))
			}
		}
	}
	v.drain()
	again(t.TempDir())
	for _, f := range files {
		want(t, f.check(false))
		f.end()
	}
	v.close()
}
