package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
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
