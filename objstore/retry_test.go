package objstore_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// Each request is repeated until it is answered, each answer is passed on.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, o := memory.New(memory.Options{}), &observer{}
		below.Set("k", []byte("content"), objstore.Attributes{})
		once := []string{objstore.OpDeleteMany, objstore.OpSetAttributes}
		repeated := slices.DeleteFunc(slices.Clone(objstore.Ops), func(op string) bool { return slices.Contains(once, op) })
		for _, op := range repeated {
			below.Inject(memory.Fault{Op: op, Count: 2, Err: objstore.ErrUnavailable})
		}
		errs := every(t.Context(), objstore.WithRetry(below, objstore.RetryPolicy{}, o), "k")
		for _, op := range []string{objstore.OpHead, objstore.OpGet, objstore.OpPut, objstore.OpDelete, objstore.OpList, objstore.OpCreateUpload, objstore.OpAbortUpload} {
			if errs[op] != nil {
				t.Error(errs[op])
			}
		}
		isOp(t, errs[objstore.OpCompleteUpload], objstore.OpCompleteUpload, "k")
		if have := below.Count(""); have != 3*len(repeated)+len(once) {
			t.Errorf("%d requests", have)
		}
		for _, op := range repeated {
			if have := below.Count(op); have != 3 {
				t.Errorf("%d attempts of %s", have, op)
			}
		}
		if len(o.retries) != 2*len(repeated) {
			t.Errorf("observed retries %q", o.retries)
		}
	})
}

// Only what may help is repeated.
func TestRetryOnlyUnavailable(t *testing.T) {
	t.Parallel()
	for _, kind := range []error{
		objstore.ErrNotFound, objstore.ErrPreconditionFailed, objstore.ErrInvalidRange, objstore.ErrAccessDenied, objstore.ErrNoBucket,
		objstore.ErrInvalid, objstore.ErrUnsupported, objstore.ErrNoSpace, context.Canceled, errors.New("unknown"),
	} {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Count: memory.Forever, Err: kind})
		for op, err := range every(t.Context(), objstore.WithRetry(below, objstore.RetryPolicy{}, nil), "k") {
			isOp(t, err, op, "k")
			if !errors.Is(err, kind) {
				t.Errorf("%s: %v instead of %v", op, err, kind)
			}
		}
		want := len(objstore.Ops)
		if errors.Is(kind, objstore.ErrAccessDenied) {
			want += 2
		}
		if have := below.Count(""); have != want {
			t.Errorf("%v: %d requests, not %d", kind, have, want)
		}
	}
}

// A write that is denied once was denied by mistake; what is denied twice is.
func TestRetryDenied(t *testing.T) {
	t.Parallel()
	for _, op := range []string{objstore.OpPut, objstore.OpCompleteUpload} {
		for _, denials := range []int{1, 2} {
			below, o := memory.New(memory.Options{}), &observer{}
			b := objstore.WithRetry(below, objstore.RetryPolicy{}, o)
			below.Inject(memory.Fault{Op: op, Count: denials, Err: objstore.ErrAccessDenied})
			_, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{Condition: objstore.Condition{IfAbsent: true}})
			if op == objstore.OpCompleteUpload {
				err = upload(t, b, "k")
			}
			if errors.Is(err, objstore.ErrAccessDenied) != (denials == 2) || err != nil && denials == 1 {
				t.Errorf("%s, denied %d times: %v", op, denials, err)
			}
			if have := below.Count(op); have != 2 || !slices.Equal(o.retries, []string{op}) {
				t.Errorf("%s: %d attempts, observed retries %q", op, have, o.retries)
			}
		}
	}
}

// upload writes an object of one part.
func upload(t *testing.T, b objstore.Bucket, key string) error {
	t.Helper()
	id, err := b.CreateUpload(t.Context(), key, objstore.Attributes{})
	if err != nil {
		return err
	}
	part, err := b.UploadPart(t.Context(), key, id, 1, objstore.Bytes("x"))
	if err != nil {
		return err
	}
	_, err = b.CompleteUpload(t.Context(), key, id, []objstore.Part{part}, objstore.Condition{})
	return err
}

// Pauses stay below bounds that double up to the longest one.
func TestRetryBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy   objstore.RetryPolicy
		attempts int // exact, if longest is the sum of all pauses' bounds
		longest  time.Duration
	}{
		"defaults":  {objstore.RetryPolicy{}, 5, 1500 * time.Millisecond},
		"attempts":  {objstore.RetryPolicy{Attempts: 3, FirstPause: time.Second}, 3, 3 * time.Second},
		"longest":   {objstore.RetryPolicy{Attempts: 5, FirstPause: time.Second, LongestPause: 2 * time.Second}, 5, 7 * time.Second},
		"none":      {objstore.RetryPolicy{Attempts: 1}, 1, 0},
		"total":     {objstore.RetryPolicy{Attempts: 1 << 20, Total: time.Minute}, 0, time.Minute},
		"many":      {objstore.RetryPolicy{Attempts: 100, LongestPause: time.Nanosecond}, 100, 100},
		"unbounded": {objstore.RetryPolicy{Attempts: 1 << 10, LongestPause: 1 << 62, Total: 1 << 62}, 0, 1 << 62},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				below := memory.New(memory.Options{})
				below.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
				start := time.Now()
				_, err := objstore.WithRetry(below, c.policy, nil).Head(t.Context(), "k")
				isOp(t, err, objstore.OpHead, "k")
				if !errors.Is(err, objstore.ErrUnavailable) {
					t.Errorf("error is %v", err)
				}
				if took := time.Since(start); took > c.longest {
					t.Errorf("took %v", took)
				}
				if have := below.Count(""); c.attempts > 0 && have != c.attempts {
					t.Errorf("%d attempts", have)
				}
			})
		})
	}
}

// A pause has full jitter: from its bound down to nothing.
func TestRetryJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
		b := objstore.WithRetry(below, objstore.RetryPolicy{Attempts: 2, FirstPause: time.Second}, nil)
		shortest, longest := time.Hour, time.Duration(0)
		for range 1000 {
			start := time.Now()
			_, err := b.Head(t.Context(), "k")
			isOp(t, err, objstore.OpHead, "k")
			took := time.Since(start)
			shortest, longest = min(shortest, took), max(longest, took)
		}
		if shortest > time.Second/10 || longest < time.Second*9/10 {
			t.Errorf("pauses from %v to %v", shortest, longest)
		}
	})
}

// The end of the context ends the pause, and the error says so.
func TestRetryCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		policy := objstore.RetryPolicy{Attempts: 1 << 20, FirstPause: time.Hour, LongestPause: time.Hour, Total: 1 << 62}
		_, err := objstore.WithRetry(below, policy, nil).Put(ctx, "k", objstore.Bytes("x"), objstore.PutOptions{})
		isOp(t, err, objstore.OpPut, "k")
		if !errors.Is(err, context.DeadlineExceeded) || objstore.Refused(err) {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A body is sent whole with each attempt.
func TestRetryReopensBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Op: objstore.OpPut, Count: 2, After: true, Err: objstore.ErrUnavailable})
		b := objstore.WithRetry(below, objstore.RetryPolicy{}, nil)
		if _, err := b.Put(t.Context(), "k", objstore.Bytes("content"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if have := string(below.Snapshot()["k"].Data); have != "content" {
			t.Errorf("holds %q", have)
		}
	})
}

// A body that breaks goes on where it stopped.
func TestRetryContinuesBody(t *testing.T) {
	t.Parallel()
	const content = "0123456789"
	for name, c := range map[string]struct {
		opts objstore.GetOptions
		want string
	}{
		"whole":      {objstore.GetOptions{}, content},
		"from":       {objstore.GetOptions{Offset: 2}, content[2:]},
		"range":      {objstore.GetOptions{Offset: 2, Length: 7}, content[2:9]},
		"beyond":     {objstore.GetOptions{Offset: 2, Length: 1 << 62}, content[2:]},
		"cut behind": {objstore.GetOptions{Offset: 9}, content[9:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				below, o := memory.New(memory.Options{}), &observer{}
				below.Set("k", []byte(content), objstore.Attributes{})
				below.Inject(memory.Fault{Op: objstore.OpGet, Count: 3, CutBody: 2, Err: objstore.ErrUnavailable})
				have, err := readAll(t.Context(), objstore.WithRetry(below, objstore.RetryPolicy{}, o), "k", c.opts)
				if err != nil || have != c.want {
					t.Errorf("read %q, %v", have, err)
				}
				if len(o.retries) != below.Count(objstore.OpGet)-1 {
					t.Errorf("observed %d retries of %d requests", len(o.retries), below.Count(""))
				}
			})
		})
	}
}

// One object is read, or none: a replaced one ends the body.
func TestRetryContinuesSameObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Set("k", []byte("old content"), objstore.Attributes{})
		below.Inject(memory.Fault{Op: objstore.OpGet, CutBody: 4, Err: objstore.ErrUnavailable})
		below.Inject(memory.Fault{Op: objstore.OpGet, Nth: 2, Hook: func() { below.Set("k", []byte("new content"), objstore.Attributes{}) }})
		body, _, err := objstore.WithRetry(below, objstore.RetryPolicy{}, nil).Get(t.Context(), "k", objstore.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the error stays
			data, err := io.ReadAll(body)
			if !errors.Is(err, objstore.ErrPreconditionFailed) || len(data) > 4 {
				t.Errorf("read %q, %v", data, err)
			}
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Continuing takes from the same attempts.
func TestRetryBodyBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Set("k", []byte("0123456789"), objstore.Attributes{})
		below.Inject(memory.Fault{Op: objstore.OpGet, Err: objstore.ErrUnavailable})
		below.Inject(memory.Fault{Op: objstore.OpGet, Nth: 2, Count: memory.Forever, CutBody: 2, Err: objstore.ErrUnavailable})
		have, err := readAll(t.Context(), objstore.WithRetry(below, objstore.RetryPolicy{Attempts: 4}, nil), "k", objstore.GetOptions{})
		if !errors.Is(err, objstore.ErrUnavailable) || have != "012345" {
			t.Errorf("read %q, %v", have, err)
		}
		if n := below.Count(""); n != 4 {
			t.Errorf("%d requests", n)
		}
	})
}

// A broken body gives its turn back before another request takes one.
func TestRetryBodyBelowLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Set("k", []byte("0123456789"), objstore.Attributes{})
		below.Inject(memory.Fault{Op: objstore.OpGet, CutBody: 2, Err: objstore.ErrUnavailable})
		below.Inject(memory.Fault{Op: objstore.OpGet, Nth: 2, Err: objstore.ErrUnavailable})
		have, err := readAll(t.Context(), objstore.WithRetry(objstore.WithLimit(below, 1), objstore.RetryPolicy{}, nil), "k", objstore.GetOptions{})
		if err != nil || have != "0123456789" {
			t.Errorf("read %q, %v", have, err)
		}
	})
}

// afterAll is a bucket whose bodies fail when all bytes have come.
type afterAll struct {
	objstore.Bucket
	err error
}

func (a afterAll) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	body, object, err := a.Bucket.Get(ctx, key, opts)
	if err != nil {
		return nil, objstore.Object{}, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(body, iotest.ErrReader(a.err)), body}, object, nil
}

// A body that breaks behind its last byte is whole; one that is found wrong there is not.
func TestRetryBodyBreaksAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, fails := range []error{objstore.ErrUnavailable, objstore.ErrInvalid} {
		below := memory.New(memory.Options{})
		below.Set("k", []byte("0123456789"), objstore.Attributes{})
		b := objstore.WithRetry(afterAll{below, fails}, objstore.RetryPolicy{}, nil)
		for opts, want := range map[objstore.GetOptions]string{{}: "0123456789", {Offset: 2, Length: 3}: "234"} {
			have, err := readAll(t.Context(), b, "k", opts)
			if have != want || errors.Is(err, objstore.ErrInvalid) != errors.Is(fails, objstore.ErrInvalid) || errors.Is(err, objstore.ErrUnavailable) {
				t.Errorf("%v: read %q, %v", fails, have, err)
			}
		}
		if n := below.Count(""); n != 2 {
			t.Errorf("%v: %d requests", fails, n)
		}
	}
}

// Other errors of a body are passed on, the context's too.
func TestRetryBodyErrors(t *testing.T) {
	t.Parallel()
	below := memory.New(memory.Options{})
	below.Set("k", []byte("0123456789"), objstore.Attributes{})
	below.Inject(memory.Fault{Op: objstore.OpGet, CutBody: 2, Err: objstore.ErrAccessDenied})
	b := objstore.WithRetry(below, objstore.RetryPolicy{}, nil)
	if have, err := readAll(t.Context(), b, "k", objstore.GetOptions{}); !errors.Is(err, objstore.ErrAccessDenied) || have != "01" {
		t.Errorf("read %q, %v", have, err)
	}
	if n := below.Count(""); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestRetryLostWrites is about writes that were executed and not answered.
func TestRetryLostWrites(t *testing.T) {
	t.Parallel()
	lose := func(b *memory.Bucket, op string) {
		b.Inject(memory.Fault{Op: op, After: true, Err: objstore.ErrUnavailable})
	}
	for name, test := range map[string]func(t *testing.T, below *memory.Bucket, b objstore.Bucket, old objstore.Object){
		"a put meets itself": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, old objstore.Object) {
			t.Helper()
			lose(below, objstore.OpPut)
			_, err := b.Put(t.Context(), "k", objstore.Bytes("new"), objstore.PutOptions{Condition: objstore.Condition{IfMatch: old.ETag}})
			isOp(t, err, objstore.OpPut, "k")
			if !errors.Is(err, objstore.ErrPreconditionFailed) {
				t.Errorf("error is %v", err)
			}
		},
		"a put is refused after it was lost": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, _ objstore.Object) {
			t.Helper()
			lose(below, objstore.OpPut)
			below.Inject(memory.Fault{Op: objstore.OpPut, Nth: 2, Err: objstore.ErrNoSpace})
			_, err := b.Put(t.Context(), "k", objstore.Bytes("new"), objstore.PutOptions{})
			isOp(t, err, objstore.OpPut, "k")
			if !errors.Is(err, objstore.ErrUnavailable) || objstore.Refused(err) {
				t.Errorf("the outcome is open, error is %v", err)
			}
		},
		"an upload is completed and then unknown": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, old objstore.Object) {
			t.Helper()
			id, err := b.CreateUpload(t.Context(), "k", objstore.Attributes{})
			if err != nil {
				t.Fatal(err)
			}
			part, err := b.UploadPart(t.Context(), "k", id, 1, objstore.Bytes("new"))
			if err != nil {
				t.Fatal(err)
			}
			lose(below, objstore.OpCompleteUpload)
			_, err = b.CompleteUpload(t.Context(), "k", id, []objstore.Part{part}, objstore.Condition{IfMatch: old.ETag})
			isOp(t, err, objstore.OpCompleteUpload, "k")
			if !errors.Is(err, objstore.ErrUnavailable) || objstore.Refused(err) {
				t.Errorf("the outcome is open, error is %v", err)
			}
		},
		"a delete finds nothing": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, old objstore.Object) {
			t.Helper()
			lose(below, objstore.OpDelete)
			if err := b.Delete(t.Context(), "k", objstore.Condition{IfMatch: old.ETag}); err != nil {
				t.Error(err)
			}
			if len(below.Snapshot()) > 0 {
				t.Error("the object is still there")
			}
		},
		"a delete finds nothing at once": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, _ objstore.Object) {
			t.Helper()
			below.Remove("k")
			err := b.Delete(t.Context(), "k", objstore.Condition{IfMatch: "e"})
			isOp(t, err, objstore.OpDelete, "k")
			if !errors.Is(err, objstore.ErrNotFound) {
				t.Errorf("error is %v", err)
			}
		},
		"a delete finds another object": func(t *testing.T, below *memory.Bucket, b objstore.Bucket, old objstore.Object) {
			t.Helper()
			lose(below, objstore.OpDelete)
			below.Inject(memory.Fault{Op: objstore.OpDelete, Nth: 2, Hook: func() { below.Set("k", []byte("theirs"), objstore.Attributes{}) }})
			err := b.Delete(t.Context(), "k", objstore.Condition{IfMatch: old.ETag})
			isOp(t, err, objstore.OpDelete, "k")
			if !errors.Is(err, objstore.ErrPreconditionFailed) {
				t.Errorf("error is %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				below := memory.New(memory.Options{})
				old := below.Set("k", []byte("old"), objstore.Attributes{})
				test(t, below, objstore.WithRetry(below, objstore.RetryPolicy{}, nil), old)
			})
		})
	}
}

// A repeated delete is done when its lost attempt is too late to do harm.
func TestRetryDeleteRests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		without     objstore.Capabilities
		conditional bool
		lost        bool
		rests       bool
	}{
		"answered":               {lost: false},
		"store compares":         {conditional: true, lost: true, rests: false},
		"unconditional":          {lost: true, rests: true},
		"store compares nothing": {without: objstore.Capabilities{ConditionalDelete: true}, conditional: true, lost: true, rests: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				below := memory.New(memory.Options{Without: c.without})
				cond := objstore.Condition{}
				if old := below.Set("k", []byte("old"), objstore.Attributes{}); c.conditional {
					cond.IfMatch = old.ETag
				}
				var lost time.Time
				if c.lost {
					below.Inject(memory.Fault{Op: objstore.OpDelete, After: true, Hook: func() { lost = time.Now() }, Err: objstore.ErrUnavailable})
				}
				b := objstore.WithRetry(below, objstore.RetryPolicy{}, nil)
				if err := b.Delete(t.Context(), "k", cond); err != nil {
					t.Error(err)
				}
				if rested := c.lost && time.Since(lost) >= objstore.DeleteExpiry; rested != c.rests {
					t.Errorf("rested is %v", rested)
				}
				if want := 1; c.lost && below.Count("") <= want {
					t.Errorf("requests %q", ops(below.Requests()))
				}
			})
		})
	}
}

// Who does not want to wait that long learns that the outcome is open.
func TestRetryDeleteRestCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Op: objstore.OpDelete, Err: objstore.ErrUnavailable})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := objstore.WithRetry(below, objstore.RetryPolicy{}, nil).Delete(ctx, "k", objstore.Condition{})
		isOp(t, err, objstore.OpDelete, "k")
		if !errors.Is(err, context.DeadlineExceeded) || objstore.Refused(err) {
			t.Errorf("error is %v", err)
		}
		if have := ops(below.Requests()); !slices.Equal(have, []string{objstore.OpDelete, objstore.OpDelete}) {
			t.Errorf("requests %q", have)
		}
	})
}
