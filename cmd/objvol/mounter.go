package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"objvol/driver"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/metrics"
	"objvol/objstore"
)

const (
	// resumeTimeout bounds the opening of a volume that only has something to send.
	resumeTimeout = time.Minute
	// closeTimeout is how long Close waits for operations that hang.
	closeTimeout = 5 * time.Second
)

// errClosed is a mount that came too late.
var errClosed = errors.New("objvol is stopping")

// errHeld is a volume whose connection outlives its last mount that can be seen.
var errHeld = errors.New("a process still has the volume open after it was unmounted, and cannot be seen from here; end it and try again")

// mounter mounts volumes. The driver calls it for one volume at a time.
type mounter struct {
	*host

	ctx   context.Context // of what goes on without a mount; ends with Close
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu         sync.Mutex // protects what follows
	slots      map[string]*slot
	references func(volume string) int
}

var (
	_ driver.Mounter = (*mounter)(nil)
	_ driver.Mount   = (*live)(nil)
)

// slot is the one place of a volume in this process.
type slot struct {
	mounter *mounter

	turn chan struct{} // a lock that can be waited for with a context; protects live
	live *live         // nil if the volume is not open

	mu   sync.Mutex     // protects what follows
	left driver.Pending // as it was last counted
}

func newMounter(h *host) *mounter {
	m := &mounter{host: h, slots: map[string]*slot{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// countReferences says who knows how many references a volume has.
func (m *mounter) countReferences(references func(volume string) int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.references = references
}

// Close closes all volumes, and nothing is mounted after it. Those that are still mounted,
// or in use elsewhere, lose their connection. A volume that hangs is left as it is.
func (m *mounter) Close() error {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	m.tasks.Wait()
	m.mu.Lock()
	slots := slices.Collect(maps.Values(m.slots))
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, s := range slots {
		errs = append(errs, s.shut(ctx))
	}
	return errors.Join(errs...)
}

// shut closes the slot's volume, if it has one.
func (s *slot) shut(ctx context.Context) error {
	if err := s.takeWithin(ctx); err != nil {
		return errors.New("a volume hangs while it is being opened or removed, and was not closed")
	}
	defer s.release()
	if s.live == nil {
		return nil
	}
	if err := s.live.shut(); err != nil {
		return err
	}
	s.live = nil
	return nil
}

// background runs work that Close waits for; it is false, and nothing runs, after Close has
// begun.
func (m *mounter) background(work func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.tasks.Go(work)
	return true
}

// slot returns the place of a volume.
func (m *mounter) slot(id string) *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[id]
	if s == nil {
		s = &slot{mounter: m, turn: make(chan struct{}, 1)}
		m.slots[id] = s
	}
	return s
}

func (s *slot) take() { s.turn <- struct{}{} }

func (s *slot) takeWithin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slot) release() { <-s.turn }

// Prepare makes or checks the bucket and writes the volume's definition there.
func (m *mounter) Prepare(ctx context.Context, spec driver.Spec) (empty bool, err error) {
	l, err := layout.New(spec.Prefix)
	if err != nil {
		return false, err
	}
	b, err := m.stores.open(ctx, spec, nil, "")
	if err != nil {
		return false, err
	}
	defer b.close()
	if empty, err = isEmpty(ctx, b, l); err != nil {
		return false, err
	}
	if spec.ReadOnly {
		return empty, nil
	}
	// A volume that somebody else defined before is not ours to delete, though it be empty.
	first, err := define(ctx, b, l, spec, empty)
	return empty && first, err
}

// isEmpty reports whether the bucket has nothing of a volume.
func isEmpty(ctx context.Context, b objstore.Bucket, l layout.Layout) (bool, error) {
	for _, prefix := range []string{l.Prefix(), l.Records().LongPrefix()} {
		page, err := b.List(ctx, objstore.ListOptions{Prefix: prefix, Max: 1})
		if err != nil || len(page.Objects) > 0 {
			return false, err
		}
	}
	return true, nil
}

// define writes the definition of a volume unless it has one, and reports whether it did.
func define(ctx context.Context, b objstore.Bucket, l layout.Layout, spec driver.Spec, empty bool) (first bool, err error) {
	body, err := layout.EncodeDefinition(layout.Definition{
		Name: spec.Name, Prefix: l.Prefix(), Options: spec.Given,
		Created: time.Now(), Nonce: rand.Text(), Own: empty && derived(spec),
	})
	if err != nil {
		return false, err
	}
	key := l.Records().VolumeRecord()
	_, err = b.Put(ctx, key, objstore.Bytes(body), objstore.PutOptions{
		Attributes: objstore.Attributes{ContentType: "application/json"},
		Condition:  objstore.Condition{IfAbsent: true},
	})
	if !errors.Is(err, objstore.ErrPreconditionFailed) {
		return err == nil, writeDenied(spec, err)
	}
	found, err := definition(ctx, b, key)
	if err != nil {
		return false, err
	}
	if found.Prefix != l.Prefix() {
		return false, fmt.Errorf("%s defines a volume at prefix %q, not %q", key, found.Prefix, l.Prefix())
	}
	return false, nil
}

func definition(ctx context.Context, b objstore.Bucket, key string) (d layout.Definition, err error) {
	body, _, err := b.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	const most = 1 << 20
	data, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return d, err
	}
	if d, err = layout.DecodeDefinition(data); err != nil {
		return d, fmt.Errorf("%s: %w", key, err)
	}
	return d, nil
}

// derived reports whether the volume lies where its name says (hard-cases 10).
func derived(spec driver.Spec) bool {
	_, bucket := spec.Given["bucket"]
	_, prefix := spec.Given["prefix"]
	return !bucket && !prefix
}

// Mount mounts a volume on dir. One that is still open is taken over.
func (m *mounter) Mount(ctx context.Context, spec driver.Spec, dir string) (driver.Mount, error) {
	l, err := m.mount(ctx, spec, dir)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (m *mounter) mount(ctx context.Context, spec driver.Spec, dir string) (*live, error) {
	s := m.slot(spec.ID)
	if err := s.takeWithin(ctx); err != nil {
		return nil, fmt.Errorf("the volume is still being opened to send what is pending: %w", err)
	}
	defer s.release()
	if m.ctx.Err() != nil {
		return nil, errClosed
	}
	if err := s.reopen(ctx); err != nil {
		return nil, err
	}
	if s.live == nil {
		v, err := m.openVolume(ctx, spec)
		if err != nil {
			return nil, err
		}
		s.live = &live{volume: v, slot: s}
		m.watch(s.live)
	}
	l := s.live
	if err := l.attach(dir); err != nil {
		l.leave()
		return nil, err
	}
	return l, nil
}

// reopen leaves in the slot a volume that can be mounted, or none. The turn is held.
func (s *slot) reopen(ctx context.Context) error {
	l := s.live
	switch {
	case l == nil:
		return nil
	case l.leaving != nil && !l.leaving.stay():
		s.live = nil
		return nil
	case l.session == nil, l.connected() && l.tree != nil:
		return nil
	}
	// The connection has ended, or does when somebody who cannot be seen lets go.
	l.leave()
	select {
	case <-l.session.Done():
	case <-ctx.Done():
		return errHeld
	}
	s.live = nil
	return l.shut()
}

// empty forgets a volume that was closed behind the slot's back.
func (s *slot) empty(l *live) {
	s.take()
	defer s.release()
	if s.live == l {
		s.live = nil
	}
}

// watch lets Prometheus see the volume.
func (m *mounter) watch(l *live) {
	m.mu.Lock()
	count := m.references
	m.mu.Unlock()
	l.seen.SetSource(func() metrics.State {
		references := 0
		if count != nil {
			references = count(l.spec.Name)
		}
		return l.numbers(references)
	})
}

// Pending tells what of an unmounted volume is not in the bucket. What is found begins to
// be sent in the background.
func (m *mounter) Pending(_ context.Context, spec driver.Spec) (driver.Pending, error) {
	s := m.slot(spec.ID)
	select {
	case s.turn <- struct{}{}:
	default: // it is being opened to send
		return s.counted(), nil
	}
	defer s.release()
	left, err := s.count(spec)
	if err != nil {
		return driver.Pending{}, err
	}
	s.mu.Lock()
	s.left = left
	s.mu.Unlock()
	if !left.None() && s.live == nil {
		m.background(func() { m.resume(s, spec) })
	}
	return left, nil
}

func (s *slot) counted() driver.Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// count asks the open volume or the index. The turn is held.
func (s *slot) count(spec driver.Spec) (driver.Pending, error) {
	if l := s.live; l != nil && l.leaving != nil && l.leaving.stay() {
		defer l.leave()
		return l.pending()
	}
	dir := s.mounter.volumeDir(spec)
	if _, err := os.Stat(filepath.Join(dir, "index")); errors.Is(err, fs.ErrNotExist) {
		return driver.Pending{}, nil
	}
	state, err := openState(dir, index.Options{Cache: s.mounter.blocks, Log: s.mounter.log})
	if err != nil {
		return driver.Pending{}, err
	}
	left, err := state.pending()
	return left, errors.Join(err, state.close())
}

// resume opens a volume to send what is pending.
func (m *mounter) resume(s *slot, spec driver.Spec) {
	ctx, cancel := context.WithTimeout(m.ctx, resumeTimeout)
	defer cancel()
	if s.takeWithin(ctx) != nil {
		return
	}
	defer s.release()
	if s.live != nil {
		return
	}
	v, err := m.openVolume(ctx, spec)
	if err != nil {
		m.log.Warn("cannot send what is pending", "volume", spec.Name, "err", err)
		return
	}
	s.live = &live{volume: v, slot: s}
	m.watch(s.live)
	s.live.leave()
}

// Remove forgets the volume: its local state and, with deleteData, its objects.
func (m *mounter) Remove(ctx context.Context, spec driver.Spec, deleteData bool) error {
	s := m.slot(spec.ID)
	if err := s.takeWithin(ctx); err != nil {
		return fmt.Errorf("the volume is still being opened: %w", err)
	}
	defer s.release()
	if s.live != nil {
		if err := s.live.shut(); err != nil {
			return err
		}
		s.live = nil
	}
	if deleteData {
		if err := m.deleteData(ctx, spec); err != nil {
			return err
		}
	}
	if err := m.deleteState(spec); err != nil {
		return err
	}
	m.metrics.Forget(spec.Name)
	m.mu.Lock()
	delete(m.slots, spec.ID)
	m.mu.Unlock()
	return nil
}

// deleteState removes a volume's directory, unless another process has it open.
func (m *mounter) deleteState(spec driver.Spec) error {
	dir := m.volumeDir(spec)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(dir), lock.Close())
}
