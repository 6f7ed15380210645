package driver

import "context"

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

// settle is for a Mount that failed: it may have kept a mount from being ended.
func (d *Driver) settle(v *volume) {
	ctx, cancel := context.WithTimeout(d.alive, drainTimeout)
	defer cancel()
	if err := v.turn.take(ctx); err != nil {
		return // who has the turn is at it
	}
	defer v.turn.release()
	if v.mount == nil || d.state.references(v.spec.Name) > 0 {
		return
	}
	if err := d.end(ctx, v); err != nil {
		d.log.Warn("unmount", "volume", v.spec.Name, "err", err)
	}
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
