package driver

import (
	"context"
	"fmt"
	"runtime/debug"
)

// await runs work in a goroutine and returns what it returns, or the context's error when
// the context ends first: the work goes on then, and Close waits for it. If it succeeds
// although nobody waits any more, undo takes it back (nil: it may stay).
func (d *Driver) await(ctx context.Context, work func() error, undo func()) error {
	if err := d.begin(); err != nil {
		return err
	}
	answer := make(chan error)
	go func() {
		defer d.running.Done()
		err := recovered(work)
		select {
		case answer <- err:
			return
		case <-ctx.Done():
		}
		if err != nil {
			d.log.Warn("ended after its answer", "err", err)
		} else if undo != nil {
			undo()
		}
	}()
	select {
	case err := <-answer:
		if err == nil && undo != nil && ctx.Err() != nil {
			undo()
			return ctx.Err()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin counts a goroutine that Close waits for; it ends with running.Done.
func (d *Driver) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping.Err() != nil {
		return errStopping
	}
	d.running.Add(1)
	return nil
}

// panicError is a panic that became an error.
type panicError struct {
	value any
	stack []byte
}

// Error tells the user no more than that it is our fault; the stack is for the log.
func (e *panicError) Error() string { return fmt.Sprintf("internal error: %v", e.value) }

// recovered runs work and turns a panic into an error: one volume's bug must not end the
// mounts of all others.
func recovered(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return work()
}
