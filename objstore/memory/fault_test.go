package memory_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

func put(t *testing.T, b *memory.Bucket, key, content string) error {
	t.Helper()
	_, err := b.Put(t.Context(), key, objstore.Bytes(content), objstore.PutOptions{})
	return err
}

// refused writes keys one after the other and returns those whose write failed.
func refused(t *testing.T, b *memory.Bucket, keys ...string) []string {
	t.Helper()
	var failed []string
	for _, key := range keys {
		if put(t, b, key, key) != nil {
			failed = append(failed, key)
		}
	}
	return failed
}

func TestFaultSelects(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "a/1", "a/2", "c"}
	for name, c := range map[string]struct {
		fault memory.Fault
		want  []string
	}{
		"the first":        {memory.Fault{}, []string{"a"}},
		"by name":          {memory.Fault{Op: objstore.OpPut, Nth: 2}, []string{"b"}},
		"another name":     {memory.Fault{Op: objstore.OpGet, Count: memory.Forever}, nil},
		"by key":           {memory.Fault{Key: "b", Count: memory.Forever}, []string{"b"}},
		"by prefix":        {memory.Fault{Prefix: "a/", Count: memory.Forever}, []string{"a/1", "a/2"}},
		"nth of a prefix":  {memory.Fault{Prefix: "a", Nth: 2}, []string{"a/1"}},
		"some":             {memory.Fault{Nth: 2, Count: 3}, []string{"b", "a/1", "a/2"}},
		"all from the nth": {memory.Fault{Nth: 4, Count: memory.Forever}, []string{"a/2", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			c.fault.Err = objstore.ErrUnavailable
			b.Inject(c.fault)
			if have := refused(t, b, keys...); !slices.Equal(have, c.want) {
				t.Errorf("failed are %q instead of %q", have, c.want)
			}
		})
	}
}

// A fault before execution leaves no trace, one after it loses the answer only.
func TestFaultAfter(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		b := memory.New(memory.Options{})
		b.Inject(memory.Fault{Op: objstore.OpPut, Nth: 3, After: after, Err: objstore.ErrUnavailable})
		if have := refused(t, b, "a", "b", "c", "d"); !slices.Equal(have, []string{"c"}) {
			t.Errorf("failed are %q", have)
		}
		if _, executed := b.Snapshot()["c"]; executed != after {
			t.Errorf("after %v: executed %v", after, executed)
		}
	}
}

// A lost answer is not lost where the request was refused anyway.
func TestFaultAfterRefusal(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Inject(memory.Fault{Op: objstore.OpHead, After: true, Err: objstore.ErrUnavailable})
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

// A hook may use the bucket, also with requests that the same fault could hit.
func TestFaultHook(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	old := b.Set("k", []byte("old"), objstore.Attributes{})
	b.Inject(memory.Fault{Op: objstore.OpPut, Key: "k", Hook: func() {
		if err := put(t, b, "k", "theirs"); err != nil {
			t.Error(err)
		}
	}})
	_, err := b.Put(t.Context(), "k", objstore.Bytes("ours"), objstore.PutOptions{Condition: objstore.Condition{IfMatch: old.ETag}})
	if !errors.Is(err, objstore.ErrPreconditionFailed) {
		t.Errorf("error is %v", err)
	}
	if have := string(b.Snapshot()["k"].Data); have != "theirs" {
		t.Errorf("holds %q", have)
	}
}

// Hooks run before the execution or after it, those of several faults in order.
func TestFaultsInOrder(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	var order []string
	note := func(name string) func() {
		return func() {
			if _, exists := b.Snapshot()["k"]; exists {
				name += " after"
			}
			order = append(order, name)
		}
	}
	b.Inject(memory.Fault{Hook: note("one")})
	b.Inject(memory.Fault{Hook: note("two"), After: true})
	b.Inject(memory.Fault{Hook: note("three")})
	if err := put(t, b, "k", "x"); err != nil {
		t.Error(err)
	}
	if want := []string{"one", "three", "two after"}; !slices.Equal(order, want) {
		t.Errorf("order is %q", order)
	}
}

func TestFaultRemove(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	remove := b.Inject(memory.Fault{Key: "a", Count: memory.Forever, Err: objstore.ErrUnavailable})
	b.Inject(memory.Fault{Key: "b", Count: memory.Forever, Err: objstore.ErrNoSpace})
	remove()
	remove()
	if have := refused(t, b, "a", "b"); !slices.Equal(have, []string{"b"}) {
		t.Errorf("failed are %q", have)
	}
}

func TestFaultDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Options{})
		b.Inject(memory.Fault{Count: memory.Forever, Delay: time.Minute})
		start := time.Now()
		if err := put(t, b, "a", "x"); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Delete(ctx, "a", objstore.Condition{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if len(b.Snapshot()) != 1 {
			t.Error("a request was executed that had been given up")
		}
	})
}

func TestFaultCutBody(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Set("k", []byte("0123456789"), objstore.Attributes{})
	b.Inject(memory.Fault{Op: objstore.OpGet, CutBody: 3, Err: objstore.ErrUnavailable})
	for _, want := range []string{"012", "0123456789"} {
		body, _, err := b.Get(t.Context(), "k", objstore.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if string(data) != want || errors.Is(err, objstore.ErrUnavailable) != (len(want) == 3) {
			t.Errorf("read %q, %v", data, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A context that ends while the request is executed leaves the outcome open.
func TestCancelledAnswer(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	b.Inject(memory.Fault{Op: objstore.OpPut, After: true, Hook: cancel})
	_, err := b.Put(ctx, "k", objstore.Bytes("x"), objstore.PutOptions{})
	if !errors.Is(err, context.Canceled) || len(b.Snapshot()) != 1 {
		t.Errorf("error is %v, objects %v", err, b.Snapshot())
	}
}
