package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"
)

var errUnknown = errors.New("no such volume")

// Phase is where in its life a volume is: see the package comment.
type Phase string

// The phases.
const (
	Creating  Phase = "creating" // not known to anybody yet
	Unmounted Phase = "unmounted"
	Mounting  Phase = "mounting"
	Mounted   Phase = "mounted"
	Draining  Phase = "draining"
	Removing  Phase = "removing"
	removed   Phase = "removed"
)

// volume is one volume.
type volume struct {
	spec    Spec
	dir     string // the mountpoint
	created time.Time
	sick    error // why it cannot be mounted; nil for almost all

	// turn protects wasEmpty, mount and watched.
	turn     turn
	wasEmpty bool
	mount    Mount // nil if unmounted
	watched  bool  // watch is running

	// mu protects what follows and is held over no call.
	mu        sync.Mutex
	phase     Phase
	live      Mount // mount, for Status
	lastError error
	pending   Pending // while unmounted, as far as known
	wanted    int     // Mounts that have not answered
	interrupt context.CancelFunc
}

// turn is a lock that is waited for with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("an earlier operation on the volume is still busy: %w", ctx.Err())
	}
}

func (t turn) release() { <-t }

// record is what of the volume goes to disk at Create. The turn is held.
func (v *volume) record() record {
	s := v.spec
	return record{
		Spec: specRecord{
			ID:       s.ID,
			Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix,
			Options: maps.Clone(s.Given), HasSecrets: s.ownSecrets,
		},
		CreatedAt:      v.created,
		PrefixWasEmpty: v.wasEmpty,
	}
}

// known reports whether the volume is there for others than its own Create.
func (v *volume) known() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.phase != Creating && v.phase != removed
}

// enter changes the phase.
func (v *volume) enter(p Phase) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.phase = p
}

// gone reports whether the volume was removed, or never came to be. The turn is held, so
// a volume that is being created by another is not seen here.
func (v *volume) gone() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.phase == removed
}

// want says that a Mount is waiting, so that nobody unmounts: a drain that is under way is
// cut short. done takes it back.
func (v *volume) want() (done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wanted++
	if v.interrupt != nil {
		v.interrupt()
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.wanted--
	}
}

// drain lets the mount drain until the context ends or a Mount comes, and reports which:
// idle means that nobody wants the volume. The turn is held and the volume is mounted.
func (v *volume) drain(ctx context.Context) (idle bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	if v.wanted > 0 {
		v.mu.Unlock()
		return false, nil
	}
	v.phase, v.interrupt = Draining, cancel
	v.mu.Unlock()

	err = recovered(func() error {
		v.mount.Drain(ctx)
		return nil
	})

	v.mu.Lock()
	defer v.mu.Unlock()
	v.interrupt = nil
	if v.wanted > 0 {
		v.phase = Mounted
		return false, err
	}
	return true, err
}

// attach mounts the volume. The turn is held and nothing is mounted.
func (v *volume) attach(ctx context.Context, m Mounter) error {
	v.enter(Mounting)
	var mount Mount
	err := recovered(func() (err error) {
		mount, err = v.tryAttach(ctx, m)
		return err
	})
	v.mount = mount
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live, v.lastError = mount, err
	if err != nil {
		v.phase = Unmounted
		return err
	}
	v.phase, v.pending = Mounted, Pending{}
	return nil
}

func (v *volume) tryAttach(ctx context.Context, m Mounter) (Mount, error) {
	if v.sick != nil {
		return nil, v.sick
	}
	if err := detachAt(v.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(v.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	mount, err := m.Mount(ctx, v.spec, v.dir)
	if err != nil {
		return nil, err
	}
	if err := verify(ctx, mount); err != nil {
		return nil, errors.Join(err, mount.Unmount(ctx))
	}
	return mount, nil
}

// detach unmounts the volume. The turn is held and the volume is mounted.
func (v *volume) detach(ctx context.Context) error {
	err := recovered(func() error { return v.mount.Unmount(ctx) })
	v.mount = nil
	v.mu.Lock()
	defer v.mu.Unlock()
	v.phase, v.live, v.lastError, v.pending = Unmounted, nil, err, Pending{}
	if left, ok := errors.AsType[*PendingError](err); ok {
		v.lastError, v.pending = nil, left.Pending
	}
	return err
}

// verify asks whether a mount is what its directory shows, without waiting longer than the
// context allows, whatever the mount does.
func verify(ctx context.Context, m Mount) error {
	answer := make(chan error, 1)
	go func() { answer <- recovered(func() error { return m.Verify(ctx) }) }()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil: // also if it did answer: nobody waits for the mount any more
		return fmt.Errorf("the mountpoint does not answer: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("the mountpoint is not the volume: %w", err)
	}
	return nil
}
