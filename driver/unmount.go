package driver

import (
	"context"
	"errors"
)

// Unmount ends a reference of id; the last one drains for at most 50 s and unmounts. If
// data is left, the error is a *PendingError: the reference is gone all the same. That
// nothing is held is success, also for a volume that is not known: there is nothing to
// release.
func (d *Driver) Unmount(name, id string) error {
	if err := validateName(name); err != nil {
		return err
	}
	v, err := d.lookup(name)
	if err != nil {
		return nil
	}
	return about(name, d.unmount(v, id))
}

// unmount is Unmount, also of a reference that is taken back. The draining does not end
// with the request.
func (d *Driver) unmount(v *volume, id string) error {
	held, left, err := d.state.drop(v.spec.Name, id)
	if !held || left > 0 {
		return err
	}
	// A stop that has no time left ends the draining too, and what is left is still told.
	patient, forget := after(d.alive, grace)
	defer forget()
	ctx, cancel := context.WithTimeout(patient, drainTimeout+grace)
	defer cancel()
	unmounted := d.await(ctx, func() error {
		work, cancel := context.WithTimeout(d.alive, drainTimeout)
		defer cancel()
		return d.release(work, v)
	}, nil)
	return errors.Join(err, late(unmounted, "not unmounted within", drainTimeout))
}

// release unmounts the volume if nobody holds or wants it. It waits for the turn however
// long that takes: else a volume whose mounting hung would stay mounted for nobody.
func (d *Driver) release(ctx context.Context, v *volume) error {
	if err := v.turn.take(d.alive); err != nil {
		return err
	}
	defer v.turn.release()
	if v.gone() || d.state.references(v.spec.Name) > 0 {
		return nil
	}
	if v.mount == nil { // since a restart it was not mounted again
		return d.checkPending(ctx, v)
	}
	return d.end(ctx, v)
}

// end drains and unmounts, unless a Mount comes before the end of the draining: then the
// volume stays as it is, and that is no error. The turn is held, by a goroutine that Close
// waits for, and the volume is mounted.
func (d *Driver) end(ctx context.Context, v *volume) error {
	idle, err := v.drain(ctx)
	if !idle {
		return err
	}
	err = errors.Join(err, v.detach(ctx))
	if _, left := errors.AsType[*PendingError](err); left {
		d.watch(v)
	}
	return err
}
