package objstore_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// blocked is a bucket whose puts wait for release.
func blocked() (b *memory.Bucket, release chan struct{}) {
	b, release = memory.New(memory.Options{}), make(chan struct{})
	b.Inject(memory.Fault{Op: objstore.OpPut, Count: memory.Forever, Hook: func() { <-release }})
	b.Set("k", []byte("content"), objstore.Attributes{})
	return b, release
}

func put(t *testing.T, b objstore.Bucket, key string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
		t.Error(err)
	}
}

// Uploads leave places free for reads, which in turn are limited by all of them.
func TestLimit(t *testing.T) {
	t.Parallel()
	for n, writes := range map[int]int{1: 1, 2: 1, 4: 3, 16: 12} {
		synctest.Test(t, func(t *testing.T) {
			below, release := blocked()
			b := objstore.WithLimit(below, n)
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { put(t, b, "w") })
			}
			synctest.Wait()
			if have := below.Count(objstore.OpPut); have != writes {
				t.Errorf("limit %d: %d puts at once instead of %d", n, have, writes)
			}
			if n > 1 {
				if _, err := b.Head(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				if _, err := b.List(t.Context(), objstore.ListOptions{}); err != nil {
					t.Error(err)
				}
			}
			close(release)
			wg.Wait()
		})
	}
}

// A Get holds its place until its body is closed.
func TestLimitBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, release := blocked()
		close(release)
		b := objstore.WithLimit(below, 2)
		var bodies []io.ReadCloser
		for range 2 {
			body, _, err := b.Get(t.Context(), "k", objstore.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, body)
		}
		below.Forget()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := b.Head(t.Context(), "k"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { put(t, b, "w") })
		synctest.Wait()
		if have := below.Requests(); len(have) != 0 {
			t.Errorf("beyond the limit: %v", have)
		}
		for range 2 { // the second Close gives nothing back
			if err := bodies[0].Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if err := bodies[1].Close(); err != nil {
			t.Error(err)
		}
	})
}

// A failed Get, and every other request, gives its place back.
func TestLimitGivesBack(t *testing.T) {
	t.Parallel()
	below := memory.New(memory.Options{})
	b := objstore.WithLimit(below, 1)
	for range 2 {
		_ = every(t.Context(), b, "missing")
		below.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
	}
	if have := below.Count(""); have != 2*len(objstore.Ops) {
		t.Errorf("%d requests", have)
	}
}

// Who waits goes with its context, and leaves no place taken.
func TestLimitCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, release := blocked()
		b := objstore.WithLimit(below, 1)
		var wg sync.WaitGroup
		wg.Go(func() { put(t, b, "w") })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			for op, err := range every(ctx, b, "k") {
				isOp(t, err, op, "k")
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", op, err)
				}
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if have := below.Count(""); have != 1 {
			t.Errorf("%d requests", have)
		}
		close(release)
		wg.Wait()
		put(t, b, "w")
	})
}

// Requests of one kind go in order of arrival.
func TestLimitIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, release := blocked()
		b := objstore.WithLimit(below, 1)
		var wg sync.WaitGroup
		keys := []string{"a", "b", "c", "d", "e", "f"}
		for _, key := range keys {
			wg.Go(func() { put(t, b, key) })
			synctest.Wait()
		}
		var order []string
		for range keys {
			release <- struct{}{}
			synctest.Wait()
		}
		wg.Wait()
		for _, r := range below.Requests() {
			order = append(order, r.Key)
		}
		if !slices.Equal(order, keys) {
			t.Errorf("order is %q", order)
		}
	})
}
