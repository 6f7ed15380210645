package embedded

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A sync takes a second. Ten wait for it at once, ten more come while it runs.
func TestSyncsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began []time.Duration
		start := time.Now()
		s := &syncs{sync: func() error {
			began = append(began, time.Since(start))
			time.Sleep(time.Second)
			return nil
		}}
		// waiters waits ten times and checks that all are served at this time.
		waiters := func(want time.Duration) {
			for range 10 {
				go func() {
					if err := s.wait(t.Context()); err != nil {
						t.Error(err)
					}
					if have := time.Since(start); have != want {
						t.Errorf("served after %v instead of %v", have, want)
					}
				}()
			}
		}
		go func() { _ = s.wait(t.Context()) }()
		synctest.Wait() // the first sync runs: it is of no use to those who come now
		waiters(2 * time.Second)
		time.Sleep(1500 * time.Millisecond)
		waiters(3 * time.Second)
		time.Sleep(10 * time.Second)
		s.close()
		if len(began) != 3 || began[0] != 0 || began[1] != time.Second || began[2] != 2*time.Second {
			t.Errorf("syncs began at %v", began)
		}
	})
}

func TestSyncsStopWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &syncs{sync: func() error { time.Sleep(time.Minute); return nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		s.close()
	})
}

// After one failure no sync says anything any more, also to those who wait already.
func TestSyncsFailForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken disk")
		calls := 0
		s := &syncs{sync: func() error {
			calls++
			time.Sleep(time.Second)
			if calls == 1 {
				return broken
			}
			return nil
		}}
		for range 2 {
			go func() {
				if err := s.wait(t.Context()); !errors.Is(err, broken) {
					t.Errorf("error is %v", err)
				}
			}()
			synctest.Wait() // the first is being served, the second waits
		}
		time.Sleep(time.Minute)
		if err := s.wait(t.Context()); !errors.Is(err, broken) {
			t.Errorf("later error is %v", err)
		}
		if calls != 1 {
			t.Errorf("%d syncs", calls)
		}
	})
}

// close serves those who wait, and nobody who comes after it.
func TestSyncsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &syncs{sync: func() error { time.Sleep(time.Second); return nil }}
		var served atomic.Int32
		for range 2 {
			go func() {
				if s.wait(t.Context()) == nil {
					served.Add(1)
				}
			}()
			synctest.Wait()
		}
		s.close()
		synctest.Wait()
		if n := served.Load(); n != 2 {
			t.Errorf("%d of 2 were served", n)
		}
		if err := s.wait(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("error after close is %v", err)
		}
	})
}
