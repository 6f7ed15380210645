package vfs_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// slow is a bucket whose bodies stop after some bytes until they are let go.
type slow struct {
	objstore.Bucket
	first int64 // bytes of each body that come at once
	let   chan struct{}
	rate  int64 // bytes per second of each body; 0 is all at once

	asked   atomic.Int64 // bytes of all bodies
	came    atomic.Int64 // bytes that were read of them
	givenUp atomic.Int64 // bodies whose request was ended while they stood
}

func (s *slow) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	body, obj, err := s.Bucket.Get(ctx, key, opts)
	if err != nil {
		return nil, obj, err
	}
	s.asked.Add(opts.Length)
	return &slowBody{ReadCloser: body, s: s, ctx: ctx, left: s.first}, obj, nil
}

type slowBody struct {
	io.ReadCloser
	s    *slow
	ctx  context.Context
	left int64
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		select {
		case <-b.s.let:
			b.left = 1 << 62
		case <-b.ctx.Done():
			b.s.givenUp.Add(1)
			return 0, b.ctx.Err()
		}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	if b.s.rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(b.s.rate))
	}
	b.left -= int64(n)
	b.s.came.Add(int64(n))
	return n, err
}

// pattern is content of which no two pages are the same.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i>>12) ^ byte(i>>20) ^ byte(i)
	}
	return b
}

// TestFirstBytesDoNotWait: who reads the first bytes of what is fetched does not wait for
// the last, and two readers share one request.
func TestFirstBytesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 32 << 20
		content := pattern(size)
		b := bucketOf(t, memory.Options{})
		b.Set("v/big", content, objstore.Attributes{})
		s := &slow{Bucket: b, first: 512 << 10, let: make(chan struct{})}
		v := open(t, s, t.TempDir())
		defer v.close()
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				fh, err := v.open("big", 0, 0)
				if err != nil {
					t.Error(err)
					return
				}
				defer v.Release(fh)
				buf := make([]byte, 256<<10)
				if n, err := v.Read(context.Background(), fh, 0, buf); err != nil || !bytes.Equal(buf[:n], content[:len(buf)]) {
					t.Errorf("the first bytes: %d, %v", n, err)
				}
			})
		}
		readers.Wait()
		synctest.Wait()
		// The bodies stand still; whose window they were in is gone.
		if s.givenUp.Load() == 0 || s.came.Load() > 8<<20 {
			t.Errorf("%d transfers were given up, %d bytes came", s.givenUp.Load(), s.came.Load())
		}
		close(s.let)
		got, err := v.read("big")
		want(t, err)
		if !bytes.Equal(got, content) {
			t.Error("the content differs")
		}
	})
}

// TestReadersShareFetches: readers of one file, each at its own place, fetch each byte once.
func TestReadersShareFetches(t *testing.T) {
	const size = 24 << 20
	content := pattern(size)
	b := bucketOf(t, memory.Options{})
	b.Set("v/big", content, objstore.Attributes{})
	s := &slow{Bucket: b, first: size}
	v := open(t, s, t.TempDir())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			if got, err := v.read("big"); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	readers.Wait()
	if asked := s.asked.Load(); asked != size {
		t.Errorf("%d bytes were fetched of %d", asked, size)
	}
}

// TestWriteAmidTransfer: what is written, cut or cleared while a transfer is under way is
// not undone by what arrives.
func TestWriteAmidTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		content := pattern(size)
		b := bucketOf(t, memory.Options{})
		b.Set("v/big", content, objstore.Attributes{})
		s := &slow{Bucket: b, first: 300 << 10, let: make(chan struct{})}
		v := open(t, s, t.TempDir())
		defer v.close()
		fh, err := v.open("big", 2, 0)
		want(t, err)
		defer v.Release(fh)
		ctx := context.Background()
		_, err = v.Read(ctx, fh, 0, make([]byte, 4096))
		want(t, err)
		synctest.Wait() // 300 KiB of it are there, but for the first pieces not recorded
		put := func(off int64, data []byte) {
			t.Helper()
			_, err := v.Write(ctx, fh, off, data)
			want(t, err)
			copy(content[off:], data)
		}
		put(100<<10, bytes.Repeat([]byte("x"), 64<<10))
		put(600<<10, bytes.Repeat([]byte("y"), 64<<10))
		want(t, v.Fallocate(ctx, fh, 32<<10, 32<<10, 3)) // KEEP_SIZE | PUNCH_HOLE
		clear(content[32<<10 : 64<<10])
		cut := int64(900 << 10)
		want(t, v.setSize("big", cut))
		want(t, v.setSize("big", size))
		clear(content[cut:])
		close(s.let)
		got, err := v.readAll(fh)
		want(t, err)
		if !bytes.Equal(got, content) {
			t.Error("the content differs")
		}
	})
}

func (v *volume) setSize(path string, size int64) error {
	return v.setattr(path, vfs.SetAttr{Size: &size})
}
