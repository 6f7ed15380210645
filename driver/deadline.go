package driver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Deadlines. The engine waits 120 s for Create and Mount, a managed plugin's 30 s, and
// 60 s for Unmount and Remove.
const (
	createTimeout = 25 * time.Second
	mountTimeout  = 25 * time.Second
	drainTimeout  = 50 * time.Second // of Unmount and Remove

	// grace is what the Mounter's own deadline is earlier than the answer, so that its
	// error, which knows more, is the one that is answered.
	grace = time.Second
)

// within bounds a context by a time and by the driver's stop.
func (d *Driver) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	unbind := context.AfterFunc(d.stopping, cancel)
	return ctx, func() {
		unbind()
		cancel()
	}
}

// late explains a deadline that passed.
func late(err error, what string, limit time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s; is the object store reachable? %w", what, limit, err)
	}
	return err
}

// beforeDeadline ends a little before ctx does.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	return context.WithDeadline(ctx, deadline.Add(-grace))
}
