package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Deadlines. The engine waits 120 s for Create and Mount, a managed plugin's 30 s, and
// 60 s for Unmount and Remove.
const (
	createTimeout = 25 * time.Second
	mountTimeout  = 25 * time.Second
	drainTimeout  = 50 * time.Second // of Unmount and Remove

	// watchInterval is between two looks at data that is uploaded without a mount.
	watchInterval = 10 * time.Second

	// grace is what the Mounter's own deadline is earlier than the answer, so that its
	// error, which knows more, is the one that is answered.
	grace = time.Second
)

var (
	errUnknown  = errors.New("no such volume")
	errStopping = errors.New("the driver is stopping")
)

// Create makes a volume known: decides its options, prepares the bucket and writes it to
// disk. It may be repeated with equal options; the error of unequal ones says what differs.
// When the context ends first, the volume is not made.
func (d *Driver) Create(ctx context.Context, name string, opts map[string]string) error {
	asked, err := d.defaults.Resolve(name, opts)
	if err != nil {
		return about(name, err)
	}
	ctx, cancel := d.within(ctx, createTimeout)
	defer cancel()
	err = d.await(ctx, func() error {
		work, cancel := beforeDeadline(ctx)
		defer cancel()
		for {
			v, err := d.reserve(asked)
			if err != nil {
				return err
			}
			if again, err := d.finishCreate(work, v, asked); !again {
				return err
			}
		}
	}, nil)
	return about(name, late(err, "not created within", createTimeout))
}

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

// reserve returns the volume of that name, made if there is none. Its prefix is taken from
// here on, so that two Creates at once cannot overlap.
func (d *Driver) reserve(asked Spec) (*volume, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.volumes[asked.Name]; v != nil {
		return v, nil
	}
	for _, v := range d.volumes {
		if !asked.ReadOnly && overlap(v.spec, asked) {
			return nil, fmt.Errorf("prefix %q overlaps prefix %q of volume %.64q in bucket %q: give it another prefix, or read-only",
				asked.Prefix, v.spec.Prefix, v.spec.Name, asked.Bucket)
		}
	}
	asked.ID = strings.ToLower(rand.Text())
	v := &volume{
		spec: asked, dir: d.mountpoint(asked.Name), created: time.Now().UTC(),
		turn: newTurn(), phase: Creating,
	}
	d.volumes[asked.Name] = v
	return v, nil
}

// overlap reports whether an object could belong to both volumes (hard-cases 23).
func overlap(a, b Spec) bool {
	return a.Endpoint == b.Endpoint && a.Bucket == b.Bucket &&
		(strings.HasPrefix(a.Prefix, b.Prefix) || strings.HasPrefix(b.Prefix, a.Prefix))
}

// finishCreate creates a reserved volume, or compares with it if it exists. It says again
// if the volume was removed, or its own Create failed, before the turn came.
func (d *Driver) finishCreate(ctx context.Context, v *volume, asked Spec) (again bool, err error) {
	if err := v.turn.take(ctx); err != nil {
		return false, err
	}
	defer v.turn.release()
	if v.gone() {
		return true, nil
	}
	if v.known() {
		if diff := differences(v.spec, asked.at(v.spec)); diff != "" {
			return false, fmt.Errorf("exists with other options: %s", diff)
		}
		return false, nil
	}
	err = recovered(func() error { return d.establish(ctx, v) })
	if err != nil {
		d.forget(v)
		return false, err
	}
	v.enter(Unmounted)
	return false, nil
}

// establish prepares the bucket and writes the volume to disk.
func (d *Driver) establish(ctx context.Context, v *volume) error {
	empty, err := d.mounter.Prepare(ctx, v.spec)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits any more: a later Create finds the bucket prepared
	}
	v.wasEmpty = empty
	if v.spec.ownSecrets {
		if err := saveSecrets(d.secrets(v.spec), v.spec); err != nil {
			return err
		}
	}
	if err := d.state.add(v.spec.Name, v.record()); err != nil {
		return errors.Join(err, d.dropSecrets(v.spec))
	}
	return nil
}

// beforeDeadline ends a little before ctx does.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	return context.WithDeadline(ctx, deadline.Add(-grace))
}

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
		if !v.drain(ctx) {
			return errors.New("in use: it is being mounted")
		}
		if err := v.detach(ctx); err != nil {
			return err
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

// forget takes the volume out of what is known. The turn is held.
func (d *Driver) forget(v *volume) {
	d.mu.Lock()
	delete(d.volumes, v.spec.Name)
	d.mu.Unlock()
	v.enter(removed)
}

// Mount counts a reference of id, on disk, and returns the mountpoint; the first reference
// mounts. When the context ends before the answer, the caller has gone and the reference
// is taken back.
func (d *Driver) Mount(ctx context.Context, name, id string) (dir string, err error) {
	v, err := d.lookup(name)
	if err != nil {
		return "", about(name, err)
	}
	ctx, cancel := d.within(ctx, mountTimeout)
	defer cancel()
	err = d.await(ctx, func() error {
		work, cancel := beforeDeadline(ctx)
		defer cancel()
		err := d.reference(work, v, id)
		if err != nil {
			d.running.Go(func() { d.settle(v) })
		}
		return err
	}, func() {
		if err := d.unmount(v, id); err != nil {
			d.log.Warn("take back a mount that nobody waits for", "volume", name, "err", err)
		}
	})
	if err != nil {
		return "", about(name, late(err, "not mounted within", mountTimeout))
	}
	return v.dir, nil
}

// reference mounts the volume if it is not, and counts on disk.
func (d *Driver) reference(ctx context.Context, v *volume, id string) error {
	defer v.want()()
	if err := v.turn.take(ctx); err != nil {
		return err
	}
	defer v.turn.release()
	if v.gone() {
		return errUnknown
	}
	if err := d.ensureMounted(ctx, v); err != nil {
		return err
	}
	return d.state.hold(v.spec.Name, id)
}

// ensureMounted leaves the volume mounted and verified. A mount that somebody ended behind
// our back is replaced: containers that still have it keep a dead one, the next gets a
// living one and never a plain directory. The turn is held.
func (d *Driver) ensureMounted(ctx context.Context, v *volume) error {
	if v.mount != nil {
		err := verify(ctx, v.mount)
		if err == nil || ctx.Err() != nil {
			return err
		}
		d.log.Error("mount is lost, mounting again", "volume", v.spec.Name, "err", err)
		if err := v.detach(ctx); err != nil {
			d.log.Warn("detach lost mount", "volume", v.spec.Name, "err", err)
		}
	}
	return v.attach(ctx, d.mounter)
}

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
	ctx, cancel := context.WithTimeout(d.alive, drainTimeout+grace)
	defer cancel()
	work, cancelWork := beforeDeadline(ctx)
	unmounted := d.await(ctx, func() error {
		defer cancelWork()
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
	if !v.drain(ctx) {
		return nil // mounted again by now
	}
	err := v.detach(ctx)
	if _, left := errors.AsType[*PendingError](err); left {
		d.watch(v)
	}
	return err
}

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

// settle is for a Mount that failed: it may have kept a mount from being ended.
func (d *Driver) settle(v *volume) {
	ctx, cancel := context.WithTimeout(d.alive, drainTimeout)
	defer cancel()
	if err := v.turn.take(ctx); err != nil {
		return // who has the turn is at it
	}
	defer v.turn.release()
	if v.mount == nil || d.state.references(v.spec.Name) > 0 || !v.drain(ctx) {
		return
	}
	if err := v.detach(ctx); err != nil {
		d.log.Warn("unmount", "volume", v.spec.Name, "err", err)
	}
}
