package objstore

import (
	"context"
	"io"
	"sync"
)

// WithLimit lets at most n requests run at once; the others wait in order of arrival,
// as long as their contexts allow. A Get runs until its body is closed: who holds n
// bodies open and asks for more waits for himself.
//
// A quarter of the n, at least one if n is above 1, is kept for what people wait for
// (Head, Get, List): uploads and deletes, however many, leave it free. How many of these
// run at once, up to the rest, follows from what the store takes (window). With n below 1
// there is no limit.
func WithLimit(b Bucket, n int) Bucket {
	if n < 1 {
		return b
	}
	reserved := max(n/4, 1)
	if n == 1 {
		reserved = 0
	}
	return &limited{Bucket: b, all: make(chan struct{}, n), bulk: newWindow(n - reserved)}
}

// WritesAtOnce is how many requests that change something a bucket of WithLimit lets run at
// once now; 0 of any other.
func WritesAtOnce(b Bucket) int {
	l, ok := b.(*limited)
	if !ok {
		return 0
	}
	return l.bulk.places()
}

// limited has two counters. Every request takes a place in all; one that changes
// something takes one in bulk before, and so can never fill all. Senders that wait on a
// channel are served in order.
type limited struct {
	Bucket // Capabilities
	all    chan struct{}
	bulk   *window
}

// read takes the place of a Head, Get or List. The function returned gives it back, once.
func (l *limited) read(ctx context.Context, op, key string) (release func(), err error) {
	if err := take(ctx, l.all); err != nil {
		return nil, &OpError{Op: op, Key: key, Err: err}
	}
	return sync.OnceFunc(func() { <-l.all }), nil
}

// write takes the places of any other request. The function returned gives them back and
// tells how the request ended and how many bytes it sent.
func (l *limited) write(ctx context.Context, op, key string) (release func(err error, bytes int64), err error) {
	if err := l.bulk.take(ctx); err != nil {
		return nil, &OpError{Op: op, Key: key, Err: err}
	}
	if err := take(ctx, l.all); err != nil {
		l.bulk.give(nil, 0)
		return nil, &OpError{Op: op, Key: key, Err: err}
	}
	return func(err error, bytes int64) { <-l.all; l.bulk.give(err, bytes) }, nil
}

func take(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *limited) Head(ctx context.Context, key string) (Object, error) {
	release, err := l.read(ctx, OpHead, key)
	if err != nil {
		return Object{}, err
	}
	defer release()
	return l.Bucket.Head(ctx, key)
}

func (l *limited) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	release, err := l.read(ctx, OpGet, key)
	if err != nil {
		return nil, Object{}, err
	}
	body, object, err := l.Bucket.Get(ctx, key, opts)
	if err != nil {
		release()
		return nil, Object{}, err
	}
	return &limitedBody{body, release}, object, nil
}

// limitedBody gives its place back when it is closed.
type limitedBody struct {
	io.ReadCloser
	release func()
}

func (b *limitedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

func (l *limited) Put(ctx context.Context, key string, body Body, opts PutOptions) (Object, error) {
	release, err := l.write(ctx, OpPut, key)
	if err != nil {
		return Object{}, err
	}
	object, err := l.Bucket.Put(ctx, key, body, opts)
	release(err, body.Size())
	return object, err
}

func (l *limited) Delete(ctx context.Context, key string, cond Condition) error {
	release, err := l.write(ctx, OpDelete, key)
	if err != nil {
		return err
	}
	err = l.Bucket.Delete(ctx, key, cond)
	release(err, 0)
	return err
}

func (l *limited) DeleteMany(ctx context.Context, batch []Doomed) []error {
	release, err := l.write(ctx, OpDeleteMany, firstKey(batch))
	if err != nil {
		return allFailed(batch, cause(err))
	}
	errs := l.Bucket.DeleteMany(ctx, batch)
	release(worst(errs), 0)
	return errs
}

func (l *limited) SetAttributes(ctx context.Context, key, etag string, attrs Attributes) (Object, error) {
	release, err := l.write(ctx, OpSetAttributes, key)
	if err != nil {
		return Object{}, err
	}
	object, err := l.Bucket.SetAttributes(ctx, key, etag, attrs)
	release(err, 0)
	return object, err
}

func (l *limited) List(ctx context.Context, opts ListOptions) (Page, error) {
	release, err := l.read(ctx, OpList, opts.Prefix)
	if err != nil {
		return Page{}, err
	}
	defer release()
	return l.Bucket.List(ctx, opts)
}

func (l *limited) CreateUpload(ctx context.Context, key string, attrs Attributes) (string, error) {
	release, err := l.write(ctx, OpCreateUpload, key)
	if err != nil {
		return "", err
	}
	id, err := l.Bucket.CreateUpload(ctx, key, attrs)
	release(err, 0)
	return id, err
}

func (l *limited) UploadPart(ctx context.Context, key, id string, number int, body Body) (Part, error) {
	release, err := l.write(ctx, OpUploadPart, key)
	if err != nil {
		return Part{}, err
	}
	part, err := l.Bucket.UploadPart(ctx, key, id, number, body)
	release(err, body.Size())
	return part, err
}

func (l *limited) CopyPart(ctx context.Context, key, id string, number int, src CopySource) (Part, error) {
	release, err := l.write(ctx, OpCopyPart, key)
	if err != nil {
		return Part{}, err
	}
	part, err := l.Bucket.CopyPart(ctx, key, id, number, src)
	release(err, src.Length)
	return part, err
}

func (l *limited) CompleteUpload(ctx context.Context, key, id string, parts []Part, cond Condition) (Object, error) {
	release, err := l.write(ctx, OpCompleteUpload, key)
	if err != nil {
		return Object{}, err
	}
	object, err := l.Bucket.CompleteUpload(ctx, key, id, parts, cond)
	release(err, 0)
	return object, err
}

func (l *limited) AbortUpload(ctx context.Context, key, id string) error {
	release, err := l.write(ctx, OpAbortUpload, key)
	if err != nil {
		return err
	}
	err = l.Bucket.AbortUpload(ctx, key, id)
	release(err, 0)
	return err
}
