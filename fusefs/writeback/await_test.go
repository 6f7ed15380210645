package writeback_test

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// slowLine is a bucket behind a line that takes so many bytes a second.
type slowLine struct {
	*memory.Bucket
	rate int64
}

func (s slowLine) Put(ctx context.Context, key string, body objstore.Body, o objstore.PutOptions) (objstore.Object, error) {
	r, err := body.Open()
	if err != nil {
		return objstore.Object{}, err
	}
	for buf := make([]byte, s.rate); err == nil; time.Sleep(time.Second) {
		_, err = io.ReadFull(r, buf)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return objstore.Object{}, err
	}
	return s.Bucket.Put(ctx, key, body, o)
}

// fsync waits as long as the store takes bytes, be the line ever so slow, and no longer
// than its patience for one that takes none.
func TestSyncIsPatientWithASlowLine(t *testing.T) {
	t.Parallel()
	b := slowLine{memory.New(memory.Options{}), 64 << 10}
	bubble(t, b, func(v *volume) {
		const size = 8 << 20
		v.write("f", string(make([]byte, size)))
		fh := v.openFile("f", syscall.O_RDWR)
		defer v.Release(fh)
		began := time.Now()
		if err := v.Fsync(v.t.Context(), fh, false); err != nil {
			t.Errorf("fsync over a slow line: %v", err)
		}
		if took := time.Since(began); took < size/(64<<10)*time.Second {
			t.Errorf("the line took no more than %v", took)
		}

		b.Inject(memory.Fault{Op: objstore.OpPut, Count: memory.Forever, Delay: patience})
		v.write("f", "more")
		began = time.Now()
		if err := v.Fsync(v.t.Context(), fh, false); err == nil {
			t.Error("fsync to a store that takes nothing succeeded")
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("fsync waited %v for a store that takes nothing", took)
		}
	})
}
