package writeback_test

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// endless is a bucket that takes parts, each in its time, and keeps nothing of them.
type endless struct {
	*memory.Bucket
	took  time.Duration
	bytes atomic.Int64
	begun chan struct{} // closed with the first part
	once  atomic.Bool
}

func (e *endless) UploadPart(ctx context.Context, _, _ string, number int, body objstore.Body) (objstore.Part, error) {
	if e.begun != nil && e.once.CompareAndSwap(false, true) {
		close(e.begun)
	}
	r, err := body.Open()
	if err != nil {
		return objstore.Part{}, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 64<<10))
	e.bytes.Add(n)
	if err != nil {
		return objstore.Part{}, err
	}
	select {
	case <-time.After(e.took):
	case <-ctx.Done():
		return objstore.Part{}, ctx.Err()
	}
	return objstore.Part{Number: number, ETag: "part"}, r.Close()
}

func (e *endless) CompleteUpload(ctx context.Context, key, _ string, _ []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	return e.Put(ctx, key, objstore.Bytes("parts"), objstore.PutOptions{Condition: cond})
}

// sparse makes a file that is one hole.
func (v *volume) sparse(p string, size int64) {
	v.t.Helper()
	fh := v.openFile(p, syscall.O_CREAT|syscall.O_RDWR)
	a, err := v.stat(p)
	v.must(err)
	_, _, err = v.SetAttr(v.t.Context(), a.Ino, vfs.SetAttr{Size: &size}, vfs.Caller{})
	v.must(err)
	v.Release(fh)
}

// A large file arrives however long all of its parts take together: only a single one of
// them is given up.
func TestLargeFileOverASlowLine(t *testing.T) {
	t.Parallel()
	b := &endless{Bucket: memory.New(memory.Options{}), took: 8 * time.Minute}
	bubble(t, b, func(v *volume) {
		const size = 200 << 20 // four rounds of parts
		v.sparse("large", size)
		v.drain()
		if got := b.bytes.Load(); got != size {
			t.Errorf("%d bytes were sent", got)
		}
	})
}

// A sparse file is sent with its zeros, but never held in memory.
func TestSparseIsSentInBoundedMemory(t *testing.T) {
	b := &endless{Bucket: memory.New(memory.Options{})}
	bubble(t, b, func(v *volume) {
		const size, most = 4 << 30, 64 << 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v.sparse("sparse", size)
		v.drain()
		runtime.ReadMemStats(&after)
		if got := b.bytes.Load(); got != size {
			t.Errorf("%d bytes were sent", got)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%d MiB of memory were used", took>>20)
		}
	})
}

// The sending of a file that is removed ends with the part that is under way.
func TestRemovedFileIsNotSentOn(t *testing.T) {
	t.Parallel()
	b := &endless{Bucket: memory.New(memory.Options{}), took: time.Minute}
	bubble(t, b, func(v *volume) {
		b.begun = make(chan struct{})
		v.sparse("large", 1<<30)
		<-b.begun
		v.unlink("large")
		v.drain()
		if got := b.bytes.Load(); got > 256<<20 {
			t.Errorf("%d bytes were sent", got)
		}
		if _, ok := content(b.Bucket, "v/large"); ok {
			t.Error("the object is there")
		}
	})
}
