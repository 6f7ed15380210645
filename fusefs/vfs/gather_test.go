package vfs_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// scattered opens a large object for reads out of sequence, in a volume with a cache of a size.
func scattered(t *testing.T, size int, flags int, cache int64) (v *volume, b *memory.Bucket, fh uint64, content []byte) {
	t.Helper()
	content = pattern(size)
	b = bucketOf(t, memory.Options{})
	b.Set("v/big", content, objstore.Attributes{})
	v = open(t, b, t.TempDir(), func(c *vfs.Config) { c.CacheSize = cache })
	fh, err := v.open("big", flags, 0)
	want(t, err)
	synctest.Wait()
	b.Forget()
	return v, b, fh, content
}

// TestScatteredReadsAreRecordedTogether: what they fetch can be read before it is recorded,
// and is there for good a moment later.
func TestScatteredReadsAreRecordedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const reads = 40
		v, b, fh, content := scattered(t, 64<<20, 0, 96<<20)
		defer v.close()
		defer v.Release(fh)
		read := func() {
			t.Helper()
			buf := make([]byte, 4096)
			for i := range int64(reads) {
				off := 5<<20 + i*17%reads*1_400_000
				if n, err := v.Read(context.Background(), fh, off, buf); err != nil || !bytes.Equal(buf[:n], content[off:off+4096]) {
					t.Fatalf("4 KiB at %d: %d, %v", off, n, err)
				}
			}
		}
		read()
		within(t, b, "the first reads", budget{objstore.OpGet: reads})
		if n := v.State().CacheBytes; n != 0 {
			t.Errorf("%d bytes were recorded at once", n)
		}
		b.Forget()
		read()
		within(t, b, "reads from memory", budget{})
		time.Sleep(time.Second)
		synctest.Wait()
		if n := v.State().CacheBytes; n < reads*4096 {
			t.Errorf("%d bytes are recorded", n)
		}
		hits := v.State().CacheHits
		read()
		within(t, b, "reads of what is recorded", budget{})
		if n := v.State().CacheHits - hits; n != reads {
			t.Errorf("%d reads found their bytes on this host", n)
		}
	})
}

// TestWhoNeedsAllDoesNotWait: who wants bytes to be on this host, and not only to read them,
// gets them recorded at once.
func TestWhoNeedsAllDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		v, b, fh, content := scattered(t, size, 0, 1<<30)
		defer v.close()
		defer v.Release(fh)
		_, err := v.Read(context.Background(), fh, 5<<20, make([]byte, 4096))
		want(t, err)
		to, err := v.open("copy", 0o102, 0o644) // O_CREAT | O_RDWR
		want(t, err)
		defer v.Release(to)
		begun := time.Now()
		n, err := v.CopyRange(context.Background(), vfs.Copy{From: fh, To: to, N: size})
		if err != nil || n != size {
			t.Fatalf("%d bytes were copied, %v", n, err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it waited for %v", took)
		}
		got, err := v.readAll(to)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("the copy differs, %v", err)
		}
		within(t, b, "a read and a copy", budget{objstore.OpGet: 3})
	})
}

// TestScatteredReadsAmidChanges: whatever is written, cleared and cut between the arrival of
// bytes and their record, reads are those of a plain file.
func TestScatteredReadsAmidChanges(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const size = 6 << 20
			v, _, fh, content := scattered(t, size, 2, size+int64(seed%2)<<30) // in every other nothing comes unasked
			defer v.close()
			defer v.Release(fh)
			ctx := context.Background()
			rng := rand.New(rand.NewPCG(seed, 5))
			place := func() int64 { return rng.Int64N(24)*(256<<10) + rng.Int64N(8)*3000 } // some meet
			for step := range 300 {
				off, n := place(), 1+rng.Int64N(20_000)
				end := min(off+n, size)
				switch rng.IntN(12) {
				case 0, 1:
					data := bytes.Repeat([]byte{byte(step)}, int(end-off))
					_, err := v.Write(ctx, fh, off, data)
					want(t, err)
					copy(content[off:], data)
				case 2:
					want(t, v.Fallocate(ctx, fh, off, end-off, 3)) // KEEP_SIZE | PUNCH_HOLE
					clear(content[off:end])
				case 3:
					if rng.IntN(20) == 0 {
						want(t, v.setSize("big", off))
						want(t, v.setSize("big", size))
						clear(content[off:])
					}
				case 4:
					time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				default:
					buf := make([]byte, n)
					got, err := v.Read(ctx, fh, off, buf)
					if err != nil || !bytes.Equal(buf[:got], content[off:end]) {
						t.Fatalf("seed %d, step %d: %d bytes at %d: %d, %v", seed, step, n, off, got, err)
					}
				}
			}
			got, err := v.readAll(fh)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("seed %d: the content differs, %v", seed, err)
			}
		})
	}
}

// TestMemoryOfScatteredReadsIsBounded: of many files together.
func TestMemoryOfScatteredReadsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files, reads, most = 24, 60, 8 << 20
		content := pattern(6 << 20)
		b := bucketOf(t, memory.Options{})
		for i := range files {
			b.Set(fmt.Sprintf("v/big%d", i), content, objstore.Attributes{})
		}
		s := &slow{Bucket: b, first: int64(len(content))}
		v := open(t, s, t.TempDir())
		defer v.close()
		for i := range files {
			fh, err := v.open(fmt.Sprintf("big%d", i), 0, 0)
			want(t, err)
			defer v.Release(fh)
			buf := make([]byte, 4096)
			for j := range int64(reads) {
				off := j%2*(7<<19) + (1+j)*20<<10 // to and fro
				if n, err := v.Read(context.Background(), fh, off, buf); err != nil || !bytes.Equal(buf[:n], content[off:off+4096]) {
					t.Fatalf("4 KiB at %d: %d, %v", off, n, err)
				}
			}
		}
		fetched := s.asked.Load()
		if n := fetched - v.State().CacheBytes; n > most || n == 0 {
			t.Errorf("%d bytes of %d are in memory", n, fetched)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := v.State().CacheBytes; n < fetched {
			t.Errorf("%d bytes are recorded of %d", n, fetched)
		}
	})
}
