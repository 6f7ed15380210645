package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// errClosed is the error of a wait after close.
var errClosed = errors.New("the embedded store is closed")

// syncs makes one sync of the file system serve all who wait for one. A sync helps
// only those who began to wait before it started, so at most one runs and at most one
// round waits behind it.
type syncs struct {
	sync func() error

	mu      sync.Mutex // mu protects the fields below; it is not held while syncing
	next    *round     // the round that collects waiters, nil if nobody waits
	running bool
	closed  bool
	failed  error // the first failure; see wait
	work    sync.WaitGroup
}

// round is one sync and those who wait for it.
type round struct {
	done chan struct{} // closed when err is set
	err  error
}

// wait returns after a sync that started after wait was called.
//
// The first failure is final. The kernel reports a lost page once and then calls it
// clean, so a later success would not mean that the bytes of an earlier request are on
// the disk.
func (s *syncs) wait(ctx context.Context) error {
	r, err := s.join()
	if err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the round that has not started, and makes sure that it will.
func (s *syncs) join() (*round, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.closed:
		return nil, errClosed
	}
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
	}
	r := s.next
	if !s.running {
		s.running = true
		s.work.Go(s.run)
	}
	return r, nil
}

// run syncs round after round until nobody waits.
func (s *syncs) run() {
	for {
		s.mu.Lock()
		r, failed := s.next, s.failed
		s.next = nil
		if r == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()

		if r.err = failed; r.err == nil {
			if err := s.sync(); err != nil {
				r.err = fmt.Errorf("sync of the store's file system: %w: check the disk and restart", err)
				s.mu.Lock()
				s.failed = r.err
				s.mu.Unlock()
			}
		}
		close(r.done)
	}
}

// close waits for the running and the waiting round.
func (s *syncs) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}
