package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"objvol/driver"
	"objvol/fusefs"
	"objvol/fusefs/layout"
	"objvol/metrics"
)

const (
	// shownInterval is between two looks who has a mount.
	shownInterval = time.Second
	// lastUseTimeout is how long an Unmount waits for the connection to end.
	lastUseTimeout = 2 * time.Second
	// abortTimeout is for the requests that are under way when a connection is ended.
	abortTimeout = 5 * time.Second
)

// live is a volume that is open in this process. Its slot's turn protects it, except for
// what says otherwise.
type live struct {
	*volume
	slot *slot

	session *fusefs.Session // nil: it was opened to send what is pending, and not mounted
	dir     string          // where it is mounted, or was
	tree    *tree           // the mount, to put it back; nil once it was let go of
	leaving *leaving        // nil while it is mounted

	mounted atomic.Bool // anybody may look
}

// leaving is the way of an unmounted volume from sending to closed.
type leaving struct {
	stop   context.CancelFunc
	rested chan struct{} // closed when the volume is closed, or stays open for others
	ended  chan struct{} // closed when the goroutine has ended
	closed bool          // the volume is; readable when ended is closed
}

// leave begins to send what is pending and to close the volume then.
func (l *live) leave() *leaving {
	ctx, stop := context.WithCancel(l.slot.mounter.ctx)
	w := &leaving{stop: stop, rested: make(chan struct{}), ended: make(chan struct{})}
	l.leaving = w
	begun := l.slot.mounter.background(func() {
		defer stop()
		rested := sync.OnceFunc(func() { close(w.rested) })
		w.closed = l.unused(ctx, rested) && l.finish(ctx, rested)
		close(w.ended)
		if w.closed {
			l.slot.empty(l)
		}
		rested()
	})
	if !begun { // Close does the rest
		stop()
		close(w.ended)
		close(w.rested)
	}
	return w
}

// unused returns when the bucket has everything and nobody shows the mount any more; false
// if ctx ended first. rested is called when only others keep the volume open.
func (l *live) unused(ctx context.Context, rested func()) bool {
	for {
		if err := l.fs.Drain(ctx); ctx.Err() != nil {
			return false
		} else if err != nil { // the index: it stays as it is
			l.log.Error("cannot send what is pending", "err", err)
			return true
		}
		if l.tree == nil {
			return true
		}
		shown, err := l.tree.shown()
		if err != nil {
			l.log.Warn("cannot tell who has the mount", "err", err)
		}
		if !shown {
			return true
		}
		rested()
		select {
		case <-time.After(shownInterval):
		case <-ctx.Done():
			return false
		}
	}
}

// finish lets go of the mount and closes the volume when the connection has ended: somebody
// who cannot be seen may have it still. It is false if ctx ended first; the mount cannot be
// put back then.
func (l *live) finish(ctx context.Context, rested func()) bool {
	l.dropTree()
	if l.session != nil {
		stop := time.AfterFunc(lastUseTimeout, func() {
			l.log.Warn("a process still has the volume open; it is served until that lets go")
			rested()
		})
		defer stop.Stop()
		select {
		case <-l.session.Done():
		case <-ctx.Done():
			return false
		}
		// The last who had it may have written.
		if err := l.fs.Drain(ctx); ctx.Err() != nil {
			return false
		} else if err != nil {
			l.log.Error("cannot send what is pending", "err", err)
		}
	}
	if err := l.close(); err != nil {
		l.log.Error("close volume", "err", err)
	}
	return true
}

// close closes the volume. What Prometheus sees of it stays as it was.
func (l *live) close() error {
	err := l.volume.close()
	last := l.numbers(0)
	l.seen.SetSource(func() metrics.State { return last })
	return err
}

// stay ends the leaving, and reports whether the volume is still open.
func (w *leaving) stay() (open bool) {
	w.stop()
	<-w.ended
	return !w.closed
}

func (l *live) dropTree() {
	if l.tree == nil {
		return
	}
	if err := l.tree.close(); err != nil {
		l.log.Warn("let go of the mount", "err", err)
	}
	l.tree = nil
}

// shut closes the volume whoever has it: they get ENOTCONN. What is pending stays.
func (l *live) shut() error {
	if l.leaving != nil && !l.leaving.stay() {
		return nil
	}
	l.dropTree()
	if l.session != nil {
		ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
		defer cancel()
		if err := l.session.Abort(ctx); err != nil {
			// Closing under requests that are being answered is worse than not closing.
			return fmt.Errorf("volume %q stays open: %w", l.spec.Name, err)
		}
	}
	return l.close()
}

// attach mounts the volume on dir: for the first time, or again.
func (l *live) attach(dir string) error {
	if l.session != nil {
		if err := l.tree.attach(dir); err != nil {
			return err
		}
		l.dropTree()
	} else {
		session, err := l.mount(dir)
		if err != nil {
			return err
		}
		l.session = session
	}
	var err error
	if l.tree, err = cloneTree(dir); err != nil {
		return errors.Join(err, detachFrom(dir))
	}
	l.dir, l.leaving = dir, nil
	l.mounted.Store(true)
	return nil
}

// connected reports whether the kernel has not ended the connection.
func (l *live) connected() bool {
	select {
	case <-l.session.Done():
		return false
	default:
		return true
	}
}

// Verify reports whether the directory is this mount and alive. The session knows only its
// first mount, which this may not be.
func (l *live) Verify(ctx context.Context) error {
	if !l.connected() {
		return fmt.Errorf("%s: the connection has ended", l.dir)
	}
	shown, err := l.tree.at(l.dir)
	if err == nil && !shown {
		err = fmt.Errorf("%s: something else is mounted there, or nothing", l.dir)
	}
	return errors.Join(err, ctx.Err())
}

// awaitEnd returns when ctx ends or the directory does not show the mount any more.
func (l *live) awaitEnd(ctx context.Context) {
	tick := time.NewTicker(shownInterval)
	defer tick.Stop()
	for l.Verify(ctx) == nil {
		select {
		case <-tick.C:
		case <-l.session.Done():
		case <-ctx.Done():
		}
	}
}

// Drain returns when the bucket has everything or ctx ended.
func (l *live) Drain(ctx context.Context) {
	// What is left is told by Unmount and Status.
	_ = l.fs.Drain(ctx)
}

// Unmount takes the mount from its directory and sends what is pending until ctx ends. What
// is left is sent in the background, and whoever has the mount still is served.
func (l *live) Unmount(ctx context.Context) error {
	l.mounted.Store(false)
	detached := l.tree.detach(l.dir)
	left, err := pendingOf(l.fs.Drain(ctx))

	l.slot.take()
	w := l.leave()
	l.slot.release()

	if !left.None() {
		return errors.Join(&driver.PendingError{Pending: left}, detached, err)
	}
	select {
	case <-w.rested:
	case <-ctx.Done():
	}
	return errors.Join(detached, err)
}

// Status tells how the volume does, from memory.
func (l *live) Status() driver.MountStatus {
	s := l.recent.get()
	return driver.MountStatus{
		Pending:   driver.Pending{Files: s.DirtyFiles, Bytes: s.DirtyBytes},
		LastError: l.lastError(),
	}
}

// numbers are what Prometheus sees.
func (l *live) numbers(references int) metrics.State {
	s := l.recent.get()
	return metrics.State{
		Mounted:     l.mounted.Load(),
		References:  references,
		DirtyBytes:  s.DirtyBytes,
		DirtyFiles:  int64(s.DirtyFiles),
		DirtyAge:    age(s.DirtySince),
		QueueLength: int64(s.Queue),
		WriteLimit:  l.bucket.writes(),
		Failing:     l.lastError() != nil,
		CacheBytes:  s.CacheBytes,
		CacheHits:   uint64(s.CacheHits),
		CacheMisses: uint64(s.CacheMiss),
		Ahead:       uint64(s.Ahead),
		AheadBytes:  uint64(s.AheadBytes),
		Wasted:      uint64(s.Wasted),
		WastedBytes: uint64(s.WastedBytes),
		Conflicts:   uint64(s.Conflicts),

		OpensPassed:   uint64(s.Opens.Passed),
		OpensMediated: uint64(s.Opens.Mediated),
		OpensRefused:  uint64(s.Opens.Refused),
		PassedSeconds: s.Opens.PassedFor.Seconds(),
		PassedChanges: uint64(s.Opens.Changes),
		PassedBytes:   uint64(s.Opens.ChangedBytes),
		Hidden:        hiddenByReason(s.Hidden),
	}
}

// age is how many seconds ago something was; 0 if it never was.
func age(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return time.Since(at).Seconds()
}

// hiddenByReason has every reason, so that an alert sees the first hidden key too.
func hiddenByReason(hidden map[layout.Hidden]int) map[string]int64 {
	all := make(map[string]int64, len(layout.HiddenReasons))
	for _, reason := range layout.HiddenReasons {
		all[string(reason)] = int64(hidden[reason])
	}
	return all
}
