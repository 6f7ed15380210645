package objstore_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
	"objvol/objstore/objstoretest"
)

// all is what a memory bucket can do.
var all = objstore.Capabilities{
	ConditionalPut: true, ConditionalComplete: true, ConditionalDelete: true, BatchDelete: true, SetAttributes: true,
	ListMetadata: true, CopyPart: true, FileAndDirectory: true,
}

// TestContractOfWrappers holds each wrapper, and all of them as they are stacked, to
// what a bucket must do.
func TestContractOfWrappers(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(objstore.Bucket) objstore.Bucket{
		"retry":   func(b objstore.Bucket) objstore.Bucket { return objstore.WithRetry(b, objstore.RetryPolicy{}, nil) },
		"limit":   func(b objstore.Bucket) objstore.Bucket { return objstore.WithLimit(b, 1) },
		"observe": func(b objstore.Bucket) objstore.Bucket { return objstore.WithObserver(b, &observer{}) },
		"stack": func(b objstore.Bucket) objstore.Bucket {
			o := &observer{}
			b = objstore.WithLimit(objstore.WithObserver(b, o), 4)
			return objstore.WithRetry(b, objstore.RetryPolicy{}, o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objstoretest.Run(t, func(*testing.T) objstore.Bucket { return wrap(memory.New(memory.Options{})) }, all)
		})
	}
}

// observer keeps what it is told.
type observer struct {
	mu       sync.Mutex // protects all below
	requests []observation
	retries  []string
}

type observation struct {
	op, outcome    string
	took           time.Duration
	sent, received int64
}

func (o *observer) Request(op, outcome string, took time.Duration, sent, received int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, observation{op, outcome, took, sent, received})
}

func (o *observer) Retry(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.retries = append(o.retries, op)
}

// every calls each request of b once and returns the errors by name.
func every(ctx context.Context, b objstore.Bucket, key string) map[string]error {
	errs := map[string]error{}
	_, errs[objstore.OpHead] = b.Head(ctx, key)
	_, errs[objstore.OpGet] = readAll(ctx, b, key, objstore.GetOptions{})
	_, errs[objstore.OpPut] = b.Put(ctx, key, objstore.Bytes("12345"), objstore.PutOptions{})
	errs[objstore.OpDelete] = b.Delete(ctx, key, objstore.Condition{})
	errs[objstore.OpDeleteMany] = b.DeleteMany(ctx, []objstore.Doomed{{Key: key}})[0]
	_, errs[objstore.OpSetAttributes] = b.SetAttributes(ctx, key, "etag", objstore.Attributes{})
	_, errs[objstore.OpList] = b.List(ctx, objstore.ListOptions{Prefix: key})
	_, errs[objstore.OpCreateUpload] = b.CreateUpload(ctx, key, objstore.Attributes{})
	_, errs[objstore.OpUploadPart] = b.UploadPart(ctx, key, "id", 1, objstore.Bytes("123"))
	_, errs[objstore.OpCopyPart] = b.CopyPart(ctx, key, "id", 1, objstore.CopySource{Key: "source"})
	_, errs[objstore.OpCompleteUpload] = b.CompleteUpload(ctx, key, "id", nil, objstore.Condition{})
	errs[objstore.OpAbortUpload] = b.AbortUpload(ctx, key, "id")
	return errs
}

// readAll reads a Get to its end.
func readAll(ctx context.Context, b objstore.Bucket, key string, opts objstore.GetOptions) (string, error) {
	r, _, err := b.Get(ctx, key, opts)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

// ops returns the names of requests.
func ops(requests []memory.Request) []string {
	var names []string
	for _, r := range requests {
		names = append(names, r.Op)
	}
	return names
}

// isOp checks that an error names a request, once.
func isOp(t *testing.T, err error, op, key string) {
	t.Helper()
	outer, ok := errors.AsType[*objstore.OpError](err)
	if !ok || outer.Op != op || outer.Key != key {
		t.Errorf("error %v is not of %s %q", err, op, key)
		return
	}
	if _, twice := errors.AsType[*objstore.OpError](outer.Err); twice {
		t.Errorf("error %v names its request twice", err)
	}
}

func TestEveryIsComplete(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	_ = every(t.Context(), b, "k")
	have := ops(b.Requests())
	slices.Sort(have)
	want := slices.Sorted(slices.Values(objstore.Ops))
	if !slices.Equal(have, want) {
		t.Errorf("requests %q instead of %q", have, want)
	}
}
