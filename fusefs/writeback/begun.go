package writeback

import (
	"context"
	"errors"
	"sync"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// begun are the uploads that this process has begun and not ended. The index has them too,
// with those of earlier processes: a bucket is asked by nobody for uploads that nobody
// finishes, and keeps their parts.
type begun struct {
	mu  sync.Mutex // protects ids; a leaf
	ids map[string]bool
}

func (b *begun) add(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = make(map[string]bool)
	}
	b.ids[id] = true
}

func (b *begun) remove(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

func (b *begun) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[id]
}

// beginUpload begins an upload and records it.
func (w *Writeback) beginUpload(ctx context.Context, key string, attrs objstore.Attributes) (index.Upload, error) {
	up := index.Upload{Key: key}
	err := w.request(ctx, func(ctx context.Context) (err error) {
		up.ID, err = w.Bucket.CreateUpload(ctx, key, attrs)
		return err
	})
	if err != nil {
		return up, err
	}
	w.begun.add(up.ID)
	if err := w.Index.Update(func(tx *index.Tx) error { return tx.PutUpload(up) }); err != nil {
		w.abort(ctx, up)
		return up, err
	}
	return up, nil
}

// endUpload forgets an upload that is over.
func (w *Writeback) endUpload(up index.Upload) error {
	w.begun.remove(up.ID)
	return w.Index.Update(func(tx *index.Tx) error { return tx.DropUpload(up.ID) })
}

// abortTime bounds the end of an upload whose own time is over.
const abortTime = 10 * time.Second

// abort ends an upload that is not completed. If that fails it is tried again later.
func (w *Writeback) abort(ctx context.Context, up index.Upload) {
	// A context that ended must not keep the parts in the bucket.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	err := w.Bucket.AbortUpload(ctx, up.Key, up.ID)
	if err == nil {
		err = w.endUpload(up)
	}
	if err != nil {
		w.begun.remove(up.ID)
		w.Log.Info("an unfinished upload is left in the bucket for now", "key", up.Key, "upload", up.ID, "error", err)
		w.sched.add(sweepTask, time.Now().Add(retryFirst))
	}
}

// sweepUploads aborts the uploads that nobody goes on with: of a process that ended, or
// whose end failed.
func (w *Writeback) sweepUploads() error {
	var left []index.Upload
	err := w.Index.Uploads(func(up index.Upload) bool {
		if !w.begun.has(up.ID) {
			left = append(left, up)
		}
		return true
	})
	for _, up := range left {
		err = errors.Join(err, w.request(w.ctx, func(ctx context.Context) error {
			if err := w.Bucket.AbortUpload(ctx, up.Key, up.ID); err != nil {
				return err
			}
			return w.endUpload(up)
		}))
	}
	return err
}
