package memory

import (
	"context"
	"strings"
	"time"

	"objvol/objstore"
)

// Forever is the Count of a fault that never ends.
const Forever = -1

// Fault says which requests are disturbed and how. The requests are those that match
// Op, Key and Prefix; among them, Nth and Count select by order of arrival since Inject.
type Fault struct {
	Op     string // one of objstore.Ops; empty is any
	Key    string // this key, or a listing of this prefix; empty is any
	Prefix string // keys that begin with it
	Nth    int    // the first that is hit, counted from 1; 0 is 1
	Count  int    // how many are hit; 0 is 1, Forever is all that follow

	// Delay passes before the request is executed, unless its context ends first.
	Delay time.Duration
	// Hook runs then, with nothing locked: it may use the bucket and may block.
	Hook func()
	// Err is what the request fails with, as the cause of an OpError. Nil lets the
	// request go on after Delay and Hook.
	Err error
	// After moves Hook and Err behind the execution of the request: with Err, its
	// answer is lost.
	After bool
	// CutBody, for a Get, lets the request succeed and its body fail with Err after
	// this many bytes. It counts when it is above 0.
	CutBody int64
}

// injected is a fault with the number of requests that matched it.
type injected struct {
	Fault
	seen int
}

// hits counts a request and says whether the fault is meant for it.
func (f *injected) hits(op, key string) bool {
	if f.Op != "" && f.Op != op || f.Key != "" && f.Key != key || !strings.HasPrefix(key, f.Prefix) {
		return false
	}
	f.seen++
	first, count := max(f.Nth, 1), f.Count
	if count == 0 {
		count = 1
	}
	return f.seen >= first && (count < 0 || f.seen < first+count)
}

// Inject disturbs requests from now on. Several faults that hit one request all take
// effect, in the order of their injection, until one of them fails it. The function
// returned takes the fault away.
func (b *Bucket) Inject(f Fault) (remove func()) {
	fault := &injected{Fault: f}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fault)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		// A new slice: a request may be walking the old one.
		var rest []*injected
		for _, other := range b.faults {
			if other != fault {
				rest = append(rest, other)
			}
		}
		b.faults = rest
	}
}

// disturbed runs a request with the faults that hit it. It returns the fault that cuts
// the request's body, if there is one.
func (b *Bucket) disturbed(ctx context.Context, op, key string, execute func() error) (cut *Fault, err error) {
	defer func() {
		if err != nil {
			err = &objstore.OpError{Op: op, Key: key, Err: err}
		}
	}()
	faults := b.record(op, key)
	for _, f := range faults {
		if err := pause(ctx, f.Delay); err != nil {
			return nil, err
		}
		if f.CutBody > 0 {
			cut = &f
			continue
		}
		if f.After {
			continue
		}
		if f.Hook != nil {
			f.Hook()
		}
		if f.Err != nil {
			return nil, f.Err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.execute(op, key, execute); err != nil {
		return nil, err
	}
	for _, f := range faults {
		if !f.After {
			continue
		}
		if f.Hook != nil {
			f.Hook()
		}
		if f.Err != nil {
			return nil, f.Err
		}
	}
	return cut, ctx.Err()
}

func (b *Bucket) execute(op, key string, execute func() error) error {
	if op != objstore.OpList {
		if err := validKey(key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return execute()
}

// pause waits, at most until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
