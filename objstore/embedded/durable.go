package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"objvol/objstore"
)

// Durable wraps a bucket that talks to this server. Put, Delete,
// DeleteMany, SetAttributes and CompleteUpload return only after a sync of the store's file system that started when the server had
// answered. Parts of an upload need none of their own. A request whose sync fails, or
// is not waited for, has an open outcome, and a Head of its key waits for a sync: who
// recognises an own write there may rely on it as on the answer itself.
//
// Errors: ErrUnavailable if the sync fails, and from then on for every write.
func (s *Server) Durable(b objstore.Bucket) objstore.Bucket {
	return &durable{Bucket: b, syncs: s.syncs, doubts: map[string]doubt{}}
}

type durable struct {
	objstore.Bucket

	syncs *syncs

	mu     sync.Mutex // mu protects doubts
	doubts map[string]doubt
}

// doubt says why what the server shows of a key may not be on the disk.
type doubt struct {
	running int  // writes that were not answered yet
	open    bool // a write ended with an open outcome, and no sync succeeded since
}

var _ objstore.Bucket = (*durable)(nil)

func (d *durable) Put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
	var o objstore.Object
	err := d.write(ctx, objstore.OpPut, key, func() (err error) {
		o, err = d.Bucket.Put(ctx, key, body, opts)
		return err
	})
	return o, err
}

func (d *durable) Delete(ctx context.Context, key string, cond objstore.Condition) error {
	return d.write(ctx, objstore.OpDelete, key, func() error {
		return d.Bucket.Delete(ctx, key, cond)
	})
}

func (d *durable) DeleteMany(ctx context.Context, batch []objstore.Doomed) []error {
	for _, one := range batch {
		d.change(one.Key, func(t *doubt) { t.running++ })
	}
	errs := d.Bucket.DeleteMany(ctx, batch)
	if slices.Contains(errs, nil) {
		err := d.syncs.wait(ctx)
		for i, one := range batch {
			if errs[i] == nil {
				errs[i] = unsynced(ctx, objstore.OpDeleteMany, one.Key, err)
			}
		}
	}
	for i, one := range batch {
		d.change(one.Key, func(t *doubt) {
			t.running--
			if !objstore.Refused(errs[i]) {
				t.open = errs[i] != nil
			}
		})
	}
	return errs
}

func (d *durable) CompleteUpload(ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	var o objstore.Object
	err := d.write(ctx, objstore.OpCompleteUpload, key, func() (err error) {
		o, err = d.Bucket.CompleteUpload(ctx, key, id, parts, cond)
		return err
	})
	return o, err
}

func (d *durable) SetAttributes(ctx context.Context, key, etag string, attrs objstore.Attributes) (objstore.Object, error) {
	var o objstore.Object
	err := d.write(ctx, objstore.OpSetAttributes, key, func() (err error) {
		o, err = d.Bucket.SetAttributes(ctx, key, etag, attrs)
		return err
	})
	return o, err
}

func (d *durable) Head(ctx context.Context, key string) (objstore.Object, error) {
	doubted := d.doubted(key)
	o, err := d.Bucket.Head(ctx, key)
	if !doubted || (err != nil && !errors.Is(err, objstore.ErrNotFound)) {
		return o, err
	}
	if err := d.sync(ctx, objstore.OpHead, key); err != nil {
		return objstore.Object{}, err
	}
	d.change(key, func(t *doubt) { t.open = false })
	return o, err
}

// write runs a request and, if it succeeds, syncs.
func (d *durable) write(ctx context.Context, op, key string, request func() error) error {
	d.change(key, func(t *doubt) { t.running++ })
	err := request()
	if err == nil {
		err = d.sync(ctx, op, key)
	}
	d.change(key, func(t *doubt) {
		t.running--
		// A refused request says nothing about the one before it.
		if !objstore.Refused(err) {
			t.open = err != nil
		}
	})
	return err
}

func (d *durable) sync(ctx context.Context, op, key string) error {
	return unsynced(ctx, op, key, d.syncs.wait(ctx))
}

// unsynced is the error of a request that succeeded and whose sync ended with err.
func unsynced(ctx context.Context, op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil:
		err = fmt.Errorf("%w: %w", objstore.ErrUnavailable, err)
	}
	return &objstore.OpError{Op: op, Key: key, Err: err}
}

func (d *durable) doubted(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doubts[key] != doubt{}
}

func (d *durable) change(key string, change func(*doubt)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.doubts[key]
	change(&t)
	if t == (doubt{}) {
		delete(d.doubts, key)
		return
	}
	d.doubts[key] = t
}
