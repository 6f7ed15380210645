package driver

import (
	"context"
	"fmt"
	"time"
)

// watchInterval is between two looks at data that is uploaded without a mount.
const watchInterval = 10 * time.Second

// watch keeps what Get tells of pending data true while the upload goes on without a
// mount. The turn is held, by a goroutine that Close waits for.
func (d *Driver) watch(v *volume) {
	if v.watched {
		return
	}
	v.watched = true
	d.running.Go(func() {
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-d.stopping.Done():
				return
			}
			if v.turn.take(d.stopping) != nil {
				return
			}
			v.watched = d.stillPending(v)
			again := v.watched
			v.turn.release()
			if !again {
				return
			}
		}
	})
}

// stillPending asks once for watch.
func (d *Driver) stillPending(v *volume) bool {
	if v.gone() || v.mount != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(d.stopping, watchInterval)
	defer cancel()
	return recovered(func() error { return d.checkPending(ctx, v) }) != nil
}

// checkPending returns a *PendingError if local state has data that the bucket has not.
func (d *Driver) checkPending(ctx context.Context, v *volume) error {
	left, err := d.mounter.Pending(ctx, v.spec)
	if err != nil {
		return fmt.Errorf("cannot tell whether all data is in the bucket: %w", err)
	}
	v.mu.Lock()
	v.pending = left
	v.mu.Unlock()
	if !left.None() {
		return &PendingError{left}
	}
	return nil
}
