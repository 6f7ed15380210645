package objstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// RetryPolicy bounds what WithRetry does. A zero field has the default named there.
type RetryPolicy struct {
	// Attempts is the most requests that are sent for one call; 5. A Get that is
	// continued after its body broke counts on.
	Attempts int
	// FirstPause bounds the pause before the second attempt; 100 ms. Each further
	// bound is twice the one before. A pause is any time up to its bound.
	FirstPause time.Duration
	// LongestPause is the highest bound; 5 s.
	LongestPause time.Duration
	// Total is the time after which no further attempt begins, counted from the call
	// or from where the body of a Get broke; 60 s. It does not end an attempt under
	// way: contexts do.
	Total time.Duration
}

// WithRetry repeats requests that fail with ErrUnavailable, after a pause of random
// length whose bound doubles, and some that are denied, once. It is the only layer that repeats anything. o is told of
// each repetition; it may be nil.
//
// A Get whose body breaks is continued where it stopped, with the ETag that was seen:
// an object that was replaced meanwhile ends the body with ErrPreconditionFailed.
//
// # Writes whose first attempt may have been executed
//
// A conditional Put or CompleteUpload may meet its own first attempt and then fails
// with ErrPreconditionFailed, like one that met another's write: see the package's
// comment. Any other refusal of a repeated Put or CompleteUpload (a quota that is now
// used up, an upload that is now gone because it was completed) says nothing about the
// attempt before: the error is then ErrUnavailable, the outcome open.
//
// # Access denied
//
// MinIO denies a write into a directory that it removes with its last object at that moment.
// So a Put or CompleteUpload that is denied is sent once more, and believed only then.
//
// A conditional Delete that finds nothing any more has succeeded. A Delete that was
// repeated returns with a definite answer only once no lost attempt can arrive any
// more: DeleteExpiry later, unless the store compares the ETag itself. Otherwise a late
// one could remove what the caller writes to the key next.
//
// A DeleteMany is not repeated: the caller learns which keys are open, lets them rest for
// BatchExpiry, and sends them again with others.
//
// Nor is a SetAttributes: after SetExpiry a look at the object tells what became of it.
//
// A CreateUpload whose answer is lost leaves an upload behind that nobody knows.
func WithRetry(b Bucket, policy RetryPolicy, o Observer) Bucket {
	policy.Attempts = cmp.Or(policy.Attempts, 5)
	policy.FirstPause = cmp.Or(policy.FirstPause, 100*time.Millisecond)
	policy.LongestPause = cmp.Or(policy.LongestPause, 5*time.Second)
	policy.Total = cmp.Or(policy.Total, time.Minute)
	return &retrying{Bucket: b, policy: policy, o: o}
}

type retrying struct {
	Bucket // Capabilities
	policy RetryPolicy
	o      Observer
}

// call is what one call has used up of the policy.
type call struct {
	r       *retrying
	op, key string
	begun   time.Time
	sent    int   // attempts
	denied  bool  // one was denied that was sent again
	lost    error // the last attempt whose outcome is open, nil if there is none
}

func (r *retrying) begin(op, key string) *call {
	return &call{r: r, op: op, key: key, begun: time.Now()}
}

// run attempts a request until it succeeds, is refused, or is not worth more.
func (c *call) run(ctx context.Context, attempt func() error) error {
	for {
		c.sent++
		err := attempt()
		if err == nil {
			return nil
		}
		if err := c.again(ctx, err); err != nil {
			return err
		}
	}
}

// again waits for the next attempt after one that failed with err. It returns the
// error to give up with.
func (c *call) again(ctx context.Context, err error) error {
	if !errors.Is(err, ErrUnavailable) {
		return err
	}
	c.lost = err
	bound := c.r.policy.LongestPause
	if doubled := c.r.policy.FirstPause << (c.sent - 1); doubled > 0 {
		bound = min(bound, doubled)
	}
	pause := rand.N(bound + 1)
	if c.sent >= c.r.policy.Attempts || time.Since(c.begun)+pause > c.r.policy.Total {
		return err
	}
	if stopped := sleep(ctx, pause); stopped != nil {
		return &OpError{Op: c.op, Key: c.key, Err: fmt.Errorf("%w, after: %s", stopped, cause(err).Error())}
	}
	if c.r.o != nil {
		c.r.o.Retry(c.op)
	}
	return nil
}

// write is run for what MinIO may deny by mistake.
func (c *call) write(ctx context.Context, attempt func() error) error {
	return c.run(ctx, func() error {
		err := attempt()
		if !errors.Is(err, ErrAccessDenied) || c.denied || sleep(ctx, deniedPause) != nil {
			return err
		}
		c.denied = true
		if c.r.o != nil {
			c.r.o.Retry(c.op)
		}
		return attempt()
	})
}

// deniedPause is how long a write that was denied waits for its second attempt: such a
// directory is gone within less.
const deniedPause = 20 * time.Millisecond

// outcome returns the error of a write. A refusal tells the outcome only if no attempt
// before it may have been executed.
func (c *call) outcome(err error) error {
	if c.lost == nil || !Refused(err) || errors.Is(err, ErrPreconditionFailed) {
		return err
	}
	return &OpError{Op: c.op, Key: c.key, Err: fmt.Errorf("%w, then: %s", cause(c.lost), cause(err).Error())}
}

// cause returns an error without the request that it names.
func cause(err error) error {
	if op, ok := errors.AsType[*OpError](err); ok {
		return op.Err
	}
	return err
}

// sleep returns after d, or with the context's error when that ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *retrying) Head(ctx context.Context, key string) (object Object, err error) {
	err = r.begin(OpHead, key).run(ctx, func() error {
		object, err = r.Bucket.Head(ctx, key)
		return err
	})
	return object, err
}

func (r *retrying) Get(ctx context.Context, key string, opts GetOptions) (body io.ReadCloser, object Object, err error) {
	c := r.begin(OpGet, key)
	err = c.run(ctx, func() error {
		body, object, err = r.Bucket.Get(ctx, key, opts)
		return err
	})
	if err != nil {
		return nil, Object{}, err
	}
	end := object.Size
	if opts.Length > 0 && opts.Length < end-opts.Offset {
		end = opts.Offset + opts.Length
	}
	return &continuedBody{call: c, ctx: ctx, body: body, etag: object.ETag, at: opts.Offset, end: end}, object, nil
}

func (r *retrying) Put(ctx context.Context, key string, body Body, opts PutOptions) (object Object, err error) {
	c := r.begin(OpPut, key)
	err = c.write(ctx, func() error {
		object, err = r.Bucket.Put(ctx, key, body, opts)
		return err
	})
	return object, c.outcome(err)
}

func (r *retrying) Delete(ctx context.Context, key string, cond Condition) error {
	c := r.begin(OpDelete, key)
	var lostAt time.Time
	err := c.run(ctx, func() error {
		err := r.Bucket.Delete(ctx, key, cond)
		if errors.Is(err, ErrUnavailable) {
			lostAt = time.Now()
		}
		return err
	})
	if c.lost == nil {
		return err
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	err = c.outcome(err)
	if err != nil && !Refused(err) || cond.IfMatch != "" && r.Capabilities().ConditionalDelete {
		return err
	}
	if stopped := sleep(ctx, time.Until(lostAt.Add(DeleteExpiry))); stopped != nil {
		return &OpError{Op: OpDelete, Key: key, Err: stopped}
	}
	return err
}

func (r *retrying) List(ctx context.Context, opts ListOptions) (page Page, err error) {
	err = r.begin(OpList, opts.Prefix).run(ctx, func() error {
		page, err = r.Bucket.List(ctx, opts)
		return err
	})
	return page, err
}

func (r *retrying) CreateUpload(ctx context.Context, key string, attrs Attributes) (id string, err error) {
	err = r.begin(OpCreateUpload, key).run(ctx, func() error {
		id, err = r.Bucket.CreateUpload(ctx, key, attrs)
		return err
	})
	return id, err
}

func (r *retrying) UploadPart(ctx context.Context, key, id string, number int, body Body) (part Part, err error) {
	err = r.begin(OpUploadPart, key).run(ctx, func() error {
		part, err = r.Bucket.UploadPart(ctx, key, id, number, body)
		return err
	})
	return part, err
}

func (r *retrying) CopyPart(ctx context.Context, key, id string, number int, src CopySource) (part Part, err error) {
	err = r.begin(OpCopyPart, key).run(ctx, func() error {
		part, err = r.Bucket.CopyPart(ctx, key, id, number, src)
		return err
	})
	return part, err
}

func (r *retrying) CompleteUpload(ctx context.Context, key, id string, parts []Part, cond Condition) (object Object, err error) {
	c := r.begin(OpCompleteUpload, key)
	err = c.write(ctx, func() error {
		object, err = r.Bucket.CompleteUpload(ctx, key, id, parts, cond)
		return err
	})
	return object, c.outcome(err)
}

func (r *retrying) AbortUpload(ctx context.Context, key, id string) error {
	return r.begin(OpAbortUpload, key).run(ctx, func() error { return r.Bucket.AbortUpload(ctx, key, id) })
}
