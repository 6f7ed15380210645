package objstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// slow is a bucket whose puts take a time, of which the store works on so many at once,
// and which refuses those beyond a number.
type slow struct {
	objstore.Bucket
	takes   time.Duration
	workers chan struct{} // nil: any number
	refuses int64         // 0: none
	running atomic.Int64
	peak    atomic.Int64
	refused atomic.Int64
}

func (s *slow) Put(ctx context.Context, _ string, _ objstore.Body, _ objstore.PutOptions) (objstore.Object, error) {
	now := s.running.Add(1)
	defer s.running.Add(-1)
	for {
		peak := s.peak.Load()
		if now <= peak || s.peak.CompareAndSwap(peak, now) {
			break
		}
	}
	if s.refuses > 0 && now > s.refuses {
		s.refused.Add(1)
		return objstore.Object{}, objstore.ErrUnavailable
	}
	if s.workers != nil {
		s.workers <- struct{}{}
		defer func() { <-s.workers }()
	}
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
	return objstore.Object{}, ctx.Err()
}

// send puts n objects, repeated until taken, from so many senders, and returns how long
// that takes.
func send(t *testing.T, b objstore.Bucket, n, senders int) time.Duration {
	t.Helper()
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				for {
					_, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{})
					if err == nil {
						break
					}
					if !errors.Is(err, objstore.ErrUnavailable) {
						t.Error(err)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// A store that is far away gets as much at once as is allowed, soon enough for a short burst.
func TestWindowGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 20 * time.Millisecond}
		took := send(t, objstore.WithLimit(s, 160), 2000, 200)
		if most := 1300 * 2000 * 20 * time.Millisecond / 64 / 1000; took > most {
			t.Errorf("2,000 puts of 20 ms took %v, more than %v", took, most)
		}
		if peak := s.peak.Load(); peak != 120 {
			t.Errorf("%d at once", peak)
		}
	})
}

// A store that does no more the more it gets is not given more for long.
func TestWindowStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 2 * time.Millisecond, workers: make(chan struct{}, 2)}
		b := objstore.WithLimit(s, 160)
		send(t, b, 1000, 200)
		s.peak.Store(0)
		send(t, b, 1000, 200)
		if peak := s.peak.Load(); peak != 32 {
			t.Errorf("%d at once", peak)
		}
	})
}

// A store that is overloaded gets less, and more again when it takes it.
func TestWindowShrinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 20 * time.Millisecond, refuses: 20}
		b := objstore.WithLimit(s, 160)
		send(t, b, 4000, 200)
		if share := float64(s.refused.Load()) / 4000; share > 0.1 {
			t.Errorf("a share of %.2f was refused", share)
		}
		s.refuses = 0
		s.peak.Store(0)
		send(t, b, 20_000, 200)
		if peak := s.peak.Load(); peak != 120 {
			t.Errorf("%d at once when nothing is refused any more", peak)
		}
	})
}

// What may run at once can be asked for.
func TestWritesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Inject(memory.Fault{Op: objstore.OpPut, Err: objstore.ErrUnavailable})
		b := objstore.WithLimit(below, 160)
		if n := objstore.WritesAtOnce(b); n != 32 {
			t.Errorf("%d at first", n)
		}
		if _, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{}); !errors.Is(err, objstore.ErrUnavailable) {
			t.Error(err)
		}
		if n := objstore.WritesAtOnce(b); n != 16 {
			t.Errorf("%d when the store was overloaded", n)
		}
		if n := objstore.WritesAtOnce(below); n != 0 {
			t.Errorf("%d without a limit", n)
		}
	})
}

// Reads do not wait behind writes, however many wait.
func TestWindowLeavesReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, release := blocked()
		b := objstore.WithLimit(below, 160)
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() { put(t, b, "w") })
		}
		synctest.Wait()
		for range 40 {
			if _, err := b.Head(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		}
		close(release)
		wg.Wait()
	})
}
