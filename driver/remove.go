package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Remove forgets a volume that nobody holds and that has nothing pending; hard-cases 10
// decides whether its data goes with it.
func (d *Driver) Remove(name string) error {
	v, err := d.lookup(name)
	if err != nil {
		return about(name, err)
	}
	ctx, cancel := context.WithTimeout(d.alive, drainTimeout+grace)
	defer cancel()
	err = d.await(ctx, func() error {
		work, cancel := beforeDeadline(ctx)
		defer cancel()
		if err := v.turn.take(work); err != nil {
			return err
		}
		defer v.turn.release()
		if v.gone() {
			return errUnknown
		}
		return d.tryRemove(work, v)
	}, nil)
	return about(name, late(err, "not removed within", drainTimeout))
}

func (d *Driver) tryRemove(ctx context.Context, v *volume) error {
	if n := d.state.references(v.spec.Name); n > 0 {
		return fmt.Errorf("in use: %d references", n)
	}
	if v.mount != nil { // kept for a Mount that failed after all
		if err := d.end(ctx, v); err != nil {
			return err
		}
		if v.mount != nil {
			return errors.New("in use: it is being mounted")
		}
	}
	if err := d.checkPending(ctx, v); err != nil {
		return err
	}
	if err := d.erase(ctx, v); err != nil {
		return err
	}
	d.forget(v)
	if err := os.Remove(v.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("mountpoint stays", "volume", v.spec.Name, "err", err)
	}
	return nil
}

// erase removes what there is of the volume, the line in driver.json last: what fails half
// way can be repeated.
func (d *Driver) erase(ctx context.Context, v *volume) error {
	deleteData := v.spec.deletesData(v.wasEmpty)
	if deleteData && v.sick != nil {
		return fmt.Errorf("its data cannot be deleted: %w", v.sick)
	}
	v.enter(Removing)
	defer v.enter(Unmounted)
	if err := d.mounter.Remove(ctx, v.spec, deleteData); err != nil {
		return err
	}
	if err := d.dropSecrets(v.spec); err != nil {
		return err
	}
	return d.state.remove(v.spec.Name)
}

// forget takes the volume out of what is known. The turn is held.
func (d *Driver) forget(v *volume) {
	d.mu.Lock()
	delete(d.volumes, v.spec.Name)
	d.mu.Unlock()
	v.enter(removed)
}
