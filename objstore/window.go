package objstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// windowStart is how many requests run at once before anything is known of the store.
	windowStart = 32
	// windowLeast is how few a store that is overloaded gets at once.
	windowLeast = 2
	// windowTurn is the least time over which throughput is measured.
	windowTurn = 100 * time.Millisecond
	// windowHold is how long a size that more requests did not improve on is kept before
	// more are tried again.
	windowHold = 10 * time.Second
	// windowPause is the least time between two cuts: all that was under way at the first
	// may fail for one reason.
	windowPause = time.Second
	// windowUnit is what counts as one request of work, in bytes of a body.
	windowUnit = 64 << 10
)

// window lets so many requests run at once as the store takes: more as long as that is
// more throughput, half as many when it says that it is overloaded or does not answer.
// Who waits is served in order of arrival.
type window struct {
	most int // places

	mu      sync.Mutex // protects what follows; a leaf
	size    int        // places now
	running int
	waiting []chan struct{}

	// The turn that is measured.
	began  time.Time
	done   int   // requests
	work   int64 // units
	filled bool  // somebody had to wait

	before     int     // the size that the last growth began with; 0 while nothing is tried
	beforeRate float64 // its throughput, in units per second
	holdTill   time.Time
	cutAt      time.Time
}

func newWindow(most int) *window {
	return &window{most: most, size: min(most, windowStart), began: time.Now()}
}

// take waits for a place.
func (w *window) take(ctx context.Context) error {
	w.mu.Lock()
	if w.running < w.size && len(w.waiting) == 0 {
		if w.running == 0 {
			w.newTurnLocked(time.Now()) // rest is no throughput
		}
		w.running++
		w.mu.Unlock()
		return nil
	}
	w.filled = true
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, turn); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		return ctx.Err()
	}
	// The place came at the same moment.
	w.running--
	w.admitLocked()
	return ctx.Err()
}

// give returns a place after a request that sent so many bytes and ended with err.
func (w *window) give(err error, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	now := time.Now()
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		w.cutLocked(now)
	default:
		w.done++
		w.work += 1 + bytes/windowUnit
		w.turnLocked(now)
	}
	w.admitLocked()
}

// places is how many requests may run at once now.
func (w *window) places() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// admitLocked gives free places to those who wait.
func (w *window) admitLocked() {
	for w.running < w.size && len(w.waiting) > 0 {
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
		w.running++
	}
}

// cutLocked halves the window.
func (w *window) cutLocked(now time.Time) {
	if now.Sub(w.cutAt) < windowPause {
		return
	}
	w.cutAt, w.holdTill = now, now.Add(windowPause)
	w.size = max(w.size/2, min(windowLeast, w.most))
	w.before = 0
	w.newTurnLocked(now)
}

// turnLocked ends a turn that says enough, and tries more or goes back.
func (w *window) turnLocked(now time.Time) {
	took := now.Sub(w.began)
	if took < windowTurn || w.done < w.size {
		return
	}
	rate, filled := float64(w.work)/took.Seconds(), w.filled
	defer w.newTurnLocked(now)
	if w.before > 0 && rate < 1.1*w.beforeRate {
		// More at once was no more throughput, only longer waits.
		w.size, w.before, w.holdTill = w.before, 0, now.Add(windowHold)
		return
	}
	w.before = 0
	if filled && w.size < w.most && !now.Before(w.holdTill) {
		w.before, w.beforeRate = w.size, rate
		w.size = min(2*w.size, w.most)
	}
}

func (w *window) newTurnLocked(now time.Time) {
	w.began, w.done, w.work = now, 0, 0
	w.filled = len(w.waiting) > 0
}
