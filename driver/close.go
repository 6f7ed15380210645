package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

var errStopping = errors.New("the driver is stopping")

// Close stops: it takes no more requests, unmounts all volumes, draining them until the
// context ends, and keeps their references for the next start. The error names what is
// left. It is called once.
func (d *Driver) Close(ctx context.Context) error {
	defer d.kill()
	defer context.AfterFunc(ctx, d.kill)()
	patient, cancel := after(ctx, grace)
	defer cancel()

	d.mu.Lock()
	d.stop()
	volumes := slices.Collect(maps.Values(d.volumes))
	d.mu.Unlock()

	results := make(chan error, len(volumes))
	for _, v := range volumes {
		go func() { results <- about(v.spec.Name, d.closeVolume(ctx, patient, v)) }()
	}
	errs := []error{d.server.Shutdown(patient)}
	for range volumes {
		errs = append(errs, <-results)
	}
	idle := make(chan struct{})
	go func() {
		d.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-patient.Done(): // something hangs in the Mounter
	}
	return errors.Join(append(errs, d.server.Close(), d.lock.Close())...)
}

// after ends some time later than ctx does: what ctx ended can still say so.
func after(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(more, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// closeVolume unmounts a volume at the end, draining until ctx ends, and waits until patient
// ends for whatever hangs. What an Unmount could not send is told again.
func (d *Driver) closeVolume(ctx, patient context.Context, v *volume) error {
	if err := v.turn.take(patient); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		defer v.turn.release()
		switch {
		case v.mount != nil:
			result <- v.detach(ctx)
		case v.watched:
			result <- recovered(func() error { return d.checkPending(ctx, v) })
		default:
			result <- nil
		}
	}()
	select {
	case err := <-result:
		return err
	case <-patient.Done():
		return errors.New("unmounting hangs")
	}
}
