package objstore

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Observer is told of every request that leaves a bucket stack. Its methods are
// called from many goroutines and must not block.
type Observer interface {
	// Request reports one attempt: its name (Ops), its result (Outcomes), how long it
	// took (for Get: until the body was closed) and the body bytes each way.
	Request(op, outcome string, took time.Duration, sent, received int64)
	// Retry reports that a failed attempt is about to be repeated.
	Retry(op string)
}

// WithObserver tells o of every request that passes. It belongs below WithLimit and
// WithRetry: it then sees each attempt, without the time spent waiting for its turn. A
// nil Observer adds nothing.
func WithObserver(b Bucket, o Observer) Bucket {
	if o == nil {
		return b
	}
	return &observed{Bucket: b, o: o}
}

type observed struct {
	Bucket // Capabilities
	o      Observer
}

// report tells of a request without a body that began at start.
func (w *observed) report(op string, start time.Time, err error) {
	w.o.Request(op, Outcome(err), time.Since(start), 0, 0)
}

func (w *observed) Head(ctx context.Context, key string) (Object, error) {
	start := time.Now()
	object, err := w.Bucket.Head(ctx, key)
	w.report(OpHead, start, err)
	return object, err
}

func (w *observed) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	start := time.Now()
	body, object, err := w.Bucket.Get(ctx, key, opts)
	if err != nil {
		w.report(OpGet, start, err)
		return nil, Object{}, err
	}
	return &observedBody{ReadCloser: body, o: w.o, start: start}, object, nil
}

// observedBody reports a Get when it is closed for the first time.
type observedBody struct {
	io.ReadCloser
	o     Observer
	start time.Time

	received int64
	err      error // the first of Read, unless it is io.EOF
	once     sync.Once
}

func (b *observedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	if b.err == nil && err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *observedBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.o.Request(OpGet, Outcome(b.err), time.Since(b.start), 0, b.received) })
	return err
}

func (w *observed) Put(ctx context.Context, key string, body Body, opts PutOptions) (Object, error) {
	start, sent := time.Now(), &sentBody{Body: body}
	object, err := w.Bucket.Put(ctx, key, sent, opts)
	w.o.Request(OpPut, Outcome(err), time.Since(start), sent.bytes.Load(), 0)
	return object, err
}

// sentBody counts what is read of a body, also where an implementation goes on reading
// in the background after it gave up.
type sentBody struct {
	Body
	bytes atomic.Int64
}

func (b *sentBody) Open() (io.ReadCloser, error) {
	r, err := b.Body.Open()
	if err != nil {
		return nil, err
	}
	return &sentReader{ReadCloser: r, bytes: &b.bytes}, nil
}

// InFile is the function InFile for the body inside.
func (b *sentBody) InFile() (FileRange, bool) {
	r, ok := InFile(b.Body)
	moved := r.Moved
	r.Moved = func(n int, sent bool) {
		if sent {
			b.bytes.Add(int64(n))
		}
		if moved != nil {
			moved(n, sent)
		}
	}
	return r, ok
}

type sentReader struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (r *sentReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.bytes.Add(int64(n))
	return n, err
}

func (w *observed) Delete(ctx context.Context, key string, cond Condition) error {
	start := time.Now()
	err := w.Bucket.Delete(ctx, key, cond)
	w.report(OpDelete, start, err)
	return err
}

func (w *observed) DeleteMany(ctx context.Context, batch []Doomed) []error {
	start := time.Now()
	errs := w.Bucket.DeleteMany(ctx, batch)
	w.report(OpDeleteMany, start, worst(errs))
	return errs
}

// worst returns the error by which a batch is judged: one whose outcome is open if there
// is one, else any.
func worst(errs []error) error {
	var refused error
	for _, err := range errs {
		if err != nil && !Refused(err) {
			return err
		}
		refused = cmp.Or(refused, err)
	}
	return refused
}

func (w *observed) SetAttributes(ctx context.Context, key, etag string, attrs Attributes) (Object, error) {
	start := time.Now()
	object, err := w.Bucket.SetAttributes(ctx, key, etag, attrs)
	w.report(OpSetAttributes, start, err)
	return object, err
}

func (w *observed) List(ctx context.Context, opts ListOptions) (Page, error) {
	start := time.Now()
	page, err := w.Bucket.List(ctx, opts)
	w.report(OpList, start, err)
	return page, err
}

func (w *observed) CreateUpload(ctx context.Context, key string, attrs Attributes) (string, error) {
	start := time.Now()
	id, err := w.Bucket.CreateUpload(ctx, key, attrs)
	w.report(OpCreateUpload, start, err)
	return id, err
}

func (w *observed) UploadPart(ctx context.Context, key, id string, number int, body Body) (Part, error) {
	start, sent := time.Now(), &sentBody{Body: body}
	part, err := w.Bucket.UploadPart(ctx, key, id, number, sent)
	w.o.Request(OpUploadPart, Outcome(err), time.Since(start), sent.bytes.Load(), 0)
	return part, err
}

func (w *observed) CopyPart(ctx context.Context, key, id string, number int, src CopySource) (Part, error) {
	start := time.Now()
	part, err := w.Bucket.CopyPart(ctx, key, id, number, src)
	w.report(OpCopyPart, start, err)
	return part, err
}

func (w *observed) CompleteUpload(ctx context.Context, key, id string, parts []Part, cond Condition) (Object, error) {
	start := time.Now()
	object, err := w.Bucket.CompleteUpload(ctx, key, id, parts, cond)
	w.report(OpCompleteUpload, start, err)
	return object, err
}

func (w *observed) AbortUpload(ctx context.Context, key, id string) error {
	start := time.Now()
	err := w.Bucket.AbortUpload(ctx, key, id)
	w.report(OpAbortUpload, start, err)
	return err
}
