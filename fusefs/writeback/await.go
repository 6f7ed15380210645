package writeback

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"objvol/objstore"
)

// syncPatience is how long Sync goes on waiting for a store that neither takes bytes nor
// answers, and trying one that fails. A large file over a slow line takes its time.
const syncPatience = 30 * time.Second

// pulse is when the store last showed that it works, in Unix nanoseconds.
type pulse struct{ last atomic.Int64 }

func (p *pulse) beat() { p.last.Store(time.Now().UnixNano()) }

// quiet is for how long nothing was heard since a moment.
func (p *pulse) quiet(since time.Time) time.Duration {
	if last := time.Unix(0, p.last.Load()); last.After(since) {
		since = last
	}
	return time.Since(since)
}

// Heard tells that the store has answered a request which is not the write-back's own:
// what is fetched for an upload is progress of it.
func (w *Writeback) Heard() { w.pulse.beat() }

// beating is a content that tells when it is read: bytes are on their way then.
type beating struct {
	Content
	pulse *pulse
}

// ReadAt implements io.ReaderAt.
func (b beating) ReadAt(p []byte, off int64) (int, error) {
	b.pulse.beat()
	return b.Content.ReadAt(p, off)
}

// InFile implements objstore.Filed.
func (b beating) InFile(off, n int64) (objstore.FileRange, bool) {
	return b.pulse.inFile(b.Content, off, n)
}

// inFile says where a content lies, and tells when it is read there.
func (p *pulse) inFile(r io.ReaderAt, off, n int64) (objstore.FileRange, bool) {
	f, ok := r.(objstore.Filed)
	if !ok {
		return objstore.FileRange{}, false
	}
	in, ok := f.InFile(off, n)
	in.Moved = func(int, bool) { p.beat() }
	return in, ok
}

// watchers let callers wait for a task's next step to end.
type watchers struct {
	mu sync.Mutex
	m  map[task]*watcher
}

type watcher struct {
	users int // watchers.mu
	ended chan struct{}
	step  stepEnd // written before ended is closed
}

// stepEnd is how a step of a task ended.
type stepEnd struct {
	err    error
	looked bool // it only looked at the bucket
}

// on returns what is told of the next end of a step of t, until off is called. It is
// taken before looking at the state, so that no end is missed.
func (w *watchers) on(t task) (x *watcher, off func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m == nil {
		w.m = make(map[task]*watcher)
	}
	x, ok := w.m[t]
	if !ok {
		x = &watcher{ended: make(chan struct{})}
		w.m[t] = x
	}
	x.users++
	return x, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x.users--; x.users == 0 && w.m[t] == x {
			delete(w.m, t)
		}
	}
}

func (w *watchers) end(t task, step stepEnd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x, ok := w.m[t]; ok {
		x.step = step
		close(x.ended)
		delete(w.m, t)
	}
}

// await hurries a task until a state is reached.
func (w *Writeback) await(ctx context.Context, t task, reached func() (bool, error)) error {
	began := time.Now()
	silence := time.NewTimer(syncPatience)
	defer silence.Stop()
	var last error        // the latest failure
	var failing time.Time // since when nothing but failures
	for {
		x, off := w.watch.on(t)
		ok, err := reached()
		if err != nil || ok {
			off()
			return err
		}
		w.sched.need(t)
		w.sched.rush(t)
		var step stepEnd
		select {
		case <-w.ctx.Done():
			err = w.ctx.Err()
		case <-ctx.Done():
			err = ctx.Err()
		case <-silence.C:
			if left := syncPatience - w.pulse.quiet(began); left > 0 {
				silence.Reset(left)
				off()
				continue
			}
			err = context.DeadlineExceeded
		case <-x.ended:
			step = x.step
		}
		off()
		if err != nil {
			return errors.Join(last, err)
		}
		switch {
		case step.err == nil:
			if !step.looked {
				failing = time.Time{}
			}
			continue
		case errors.Is(step.err, errChanged):
			continue
		case objstore.Refused(step.err):
			return step.err
		}
		last = step.err
		if failing.IsZero() {
			failing = time.Now()
		}
		if time.Since(failing) >= syncPatience {
			return errors.Join(last, context.DeadlineExceeded)
		}
		if !sleepOr(ctx, nil, retryFirst) {
			return errors.Join(last, ctx.Err())
		}
	}
}
