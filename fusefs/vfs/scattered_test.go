package vfs_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// reader reads pages of a large file, and checks them.
type reader struct {
	*volume
	fhs     []uint64
	content []byte
	rng     *rand.Rand
}

// readers are the handles of a large file of a new volume, whose bodies stop after some bytes.
func readers(t *testing.T, handles, size int, first int64, change ...func(*vfs.Config)) (r *reader, s *slow, b *memory.Bucket) {
	t.Helper()
	content := pattern(size)
	b = bucketOf(t, memory.Options{})
	b.Set("v/big", content, objstore.Attributes{})
	s = &slow{Bucket: b, first: first, let: make(chan struct{})}
	r = &reader{volume: open(t, s, t.TempDir(), change...), content: content, rng: rand.New(rand.NewPCG(6, 7))}
	for range handles {
		fh, err := r.open("big", 0, 0)
		want(t, err)
		r.fhs = append(r.fhs, fh)
	}
	synctest.Wait()
	b.Forget()
	return r, s, b
}

// leave closes the file.
func (r *reader) leave() {
	for _, fh := range r.fhs {
		r.Release(fh)
	}
	r.fhs = nil
}

// pages reads so many, anywhere but at the beginning.
func (r *reader) pages(n int) {
	r.t.Helper()
	for range n {
		r.page(4<<20 + r.rng.Int64N((int64(len(r.content))-4<<20)/4096)*4096)
	}
}

func (r *reader) page(off int64) {
	r.t.Helper()
	buf := make([]byte, 4096)
	got, err := r.Read(context.Background(), r.fhs[r.rng.IntN(len(r.fhs))], off, buf)
	if err != nil || !bytes.Equal(buf[:got], r.content[off:off+4096]) {
		r.t.Fatalf("4 KiB at %d: %d, %v", off, got, err)
	}
}

// TestScatteredReadsFetchLittle: of an object that the cache cannot have with room to spare,
// small reads fetch at most eight times what they ask for, with one request each.
func TestScatteredReadsFetchLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reads = 128 << 20, 1000
		r, s, b := readers(t, 4, size, size, func(c *vfs.Config) { c.CacheSize = size * 3 / 2 })
		defer r.close()
		defer r.leave()
		r.pages(reads)
		if asked := s.asked.Load(); asked > 8*reads*4096 {
			t.Errorf("%d bytes were fetched for %d", asked, reads*4096)
		}
		within(t, b, "random reads", budget{objstore.OpGet: reads})
	})
}

// TestScatteredReadsFetchWider: who reads on and on all over a file, through whatever
// handles, has all of it in the end, for a small part of the requests and hardly more bytes.
func TestScatteredReadsFetchWider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reads = 128 << 20, 2000
		r, s, b := readers(t, 4, size, size)
		defer r.close()
		defer r.leave()
		r.pages(5)
		if asked := s.asked.Load(); asked > size/32 {
			t.Errorf("a few reads fetch %d bytes", asked)
		}
		for range reads {
			r.pages(1)
			synctest.Wait()
		}
		if n := b.Count(objstore.OpGet); n > reads/10 {
			t.Errorf("%d requests for %d reads", n, reads)
		}
		if asked := s.asked.Load(); asked < size*9/10 || asked > size*11/10 {
			t.Errorf("%d bytes are fetched of %d", asked, size)
		}
	})
}

// TestScatteredReadsOfASlowStoreStayNarrow: where little comes in the time of a request, little
// is fetched with it.
func TestScatteredReadsOfASlowStoreStayNarrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reads = 128 << 20, 300
		r, s, _ := readers(t, 4, size, size)
		defer r.close()
		defer r.leave()
		s.rate = 1 << 20
		for range reads {
			r.pages(1)
			time.Sleep(5 * time.Second) // all has come
		}
		if asked := s.asked.Load(); asked > size/8 {
			t.Errorf("%d bytes are fetched for %d reads", asked, reads)
		}
	})
}

// TestWhatComesUnaskedIsNotWaitedFor: while it stands still reads go on, with requests of
// their own; few bodies stand, and they come when they can, though the file is closed.
func TestWhatComesUnaskedIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reads, standing = 64 << 20, 50, 4
		r, s, b := readers(t, 1, size, 32<<10)
		defer r.close()
		for i := range int64(reads) {
			r.page(size - (i+2)<<20) // what comes is behind what is read next
		}
		synctest.Wait()
		if n := b.Count(objstore.OpGet); n != reads {
			t.Errorf("%d requests for %d reads", n, reads)
		}
		due := s.asked.Load() - s.came.Load()
		if due == 0 || due > standing*4<<20 {
			t.Errorf("%d bytes have not come", due)
		}
		r.leave()
		synctest.Wait()
		close(s.let)
		synctest.Wait()
		if n := s.givenUp.Load(); n != 0 || s.asked.Load() != s.came.Load() {
			t.Errorf("%d bodies were given up, and %d bytes of %d have come", n, s.came.Load(), s.asked.Load())
		}
	})
}

// TestLateBytesAreAskedForAgain: who wants a page that stands in the request of another, behind
// bytes that nobody wants, asks for it himself; what stood comes later all the same.
func TestLateBytesAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reads = 64 << 20, 30
		r, s, b := readers(t, 2, size, 32<<10)
		defer r.close()
		defer r.leave()
		for i := range int64(reads) {
			r.page(size - (i+2)<<20)
		}
		synctest.Wait()
		for i := range int64(reads) {
			r.page(size - (i+2)<<20 + 512<<10)
		}
		if n := b.Count(objstore.OpGet); n > 2*reads {
			t.Errorf("%d requests for %d reads", n, 2*reads)
		}
		close(s.let)
		synctest.Wait()
		if n := s.givenUp.Load(); n != 0 || s.asked.Load() != s.came.Load() {
			t.Errorf("%d bodies were given up, and %d bytes of %d have come", n, s.came.Load(), s.asked.Load())
		}
	})
}
