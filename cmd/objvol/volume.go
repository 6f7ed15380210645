package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"objvol/driver"
	"objvol/fusefs"
	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/fusefs/writeback"
	"objvol/metrics"
)

// reserve is how much of the local disk volumes leave free, in bytes.
const reserve = 256 << 20

// errInUse is a volume's state directory that another process has open.
var errInUse = errors.New("another objvol process has the volume open")

// host is what all volumes of a process share.
type host struct {
	stateDir string // absolute
	name     string // of the machine
	boot     string // names this run of the kernel
	stores   *stores
	blocks   *index.Cache
	metrics  *metrics.Metrics
	log      *slog.Logger
}

// volumeDir is where a volume's local state lies.
func (h *host) volumeDir(spec driver.Spec) string {
	return filepath.Join(h.stateDir, "volumes", spec.ID)
}

// volume is one volume's local state and the filesystem that stands on it, both open.
type volume struct {
	spec   driver.Spec
	log    *slog.Logger
	state  *state
	cache  *cache.Cache
	bucket *bucket
	fs     *vfs.FS
	seen   *metrics.Volume
	recent recent
}

// openVolume opens a volume. What is pending begins to be sent. ctx bounds the first look
// at the bucket.
func (h *host) openVolume(ctx context.Context, spec driver.Spec) (_ *volume, err error) {
	l, err := layout.New(spec.Prefix)
	if err != nil {
		return nil, err
	}
	v := &volume{spec: spec, log: h.log.With("volume", spec.Name), seen: h.metrics.Volume(spec.Name)}
	dir := h.volumeDir(spec)
	if v.state, err = openState(dir, index.Options{Cache: h.blocks, Log: v.log}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.closeState())
		}
	}()
	if v.cache, err = cache.Open(filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	if v.bucket, err = h.stores.open(ctx, spec, v.seen, capabilitiesPath(dir)); err != nil {
		return nil, err
	}
	v.fs, err = vfs.New(ctx, vfs.Config{
		Index: v.state.index, Cache: v.cache, Bucket: v.bucket, Layout: l, Log: v.log,
		Defaults:    layout.Defaults{UID: spec.UID, GID: spec.GID, FileMode: spec.FileMode, DirMode: spec.DirMode},
		TTL:         spec.TTL,
		ReadOnly:    spec.ReadOnly,
		SyncLocal:   spec.Sync == driver.SyncLocal,
		CloseBucket: spec.Close == driver.CloseBucket,
		CacheSize:   spec.CacheSize,
		Reserve:     reserve,
		LocalStore:  spec.Endpoint == "",
		Host:        h.name,
		BootID:      h.boot,

		PassthroughMin: passthroughMin(spec),
		CreatedRoom:    createdRoom(spec),
	})
	if err != nil {
		return nil, err
	}
	v.recent.read = v.fs.State
	v.recent.get()
	return v, nil
}

// passthroughMin is vfs.Config.PassthroughMin: 0 is never.
func passthroughMin(spec driver.Spec) int64 {
	if !spec.Passthrough {
		return 0
	}
	return max(1, spec.PassthroughMin)
}

// newFilesRoom is how many bytes of the local disk must be free for new files to be passed to
// the kernel, which asks nobody when it fills it.
const newFilesRoom = 8 << 30

// createdRoom is vfs.Config.CreatedRoom: 0 is never.
func createdRoom(spec driver.Spec) int64 {
	if !spec.PassthroughNew {
		return 0
	}
	return newFilesRoom
}

// mount mounts the volume on a directory.
func (v *volume) mount(dir string) (*fusefs.Session, error) {
	return fusefs.Mount(v.fs, fusefs.Options{
		Dir:      dir,
		FSName:   "objvol:" + v.spec.Name,
		ReadOnly: v.spec.ReadOnly,
		Log:      v.log,
		Observer: v.seen,
	})
}

// pending tells what is not in the bucket now.
func (v *volume) pending() (driver.Pending, error) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return pendingOf(v.fs.Drain(ended))
}

// close stops the filesystem and closes what it stands on. Nothing is mounted any more.
func (v *volume) close() error {
	v.recent.close()
	v.fs.Close()
	return v.closeState()
}

func (v *volume) closeState() error {
	if v.bucket != nil {
		v.bucket.close()
	}
	return v.state.close()
}

// lastError is why the volume does not do well, nil if it does.
func (v *volume) lastError() error {
	if err := v.state.failure(); err != nil {
		return err
	}
	return v.recent.get().LastError
}

// pendingOf makes the driver's numbers of what a drain returned.
func pendingOf(err error) (driver.Pending, error) {
	left, ok := errors.AsType[*writeback.PendingError](err)
	if !ok {
		return driver.Pending{}, err
	}
	return driver.Pending{Files: left.Files, Bytes: left.Bytes, Names: left.Names}, nil
}

// state is a volume's index, and the lock that keeps other processes out of the volume's
// directory.
type state struct {
	lock   *os.File
	index  *index.Index
	failed atomic.Pointer[error]
}

// openState locks a volume's directory and opens its index; both are made if missing.
func openState(dir string, opts index.Options) (*state, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &state{lock: lock}
	opts.OnFailure = func(err error) { s.failed.Store(&err) }
	if s.index, err = index.Open(filepath.Join(dir, "index"), opts); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// failure is why the index can no longer be written, nil while it can.
func (s *state) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *state) close() error { return errors.Join(s.index.Close(), s.lock.Close()) }

// pending counts what the index has queued, without a bucket.
func (s *state) pending() (driver.Pending, error) {
	const names = 5
	left, err := writeback.New(writeback.Config{Index: s.index}).Pending(names)
	if err != nil {
		return driver.Pending{}, err
	}
	return driver.Pending{Files: left.Files, Bytes: left.Bytes, Names: left.Names}, nil
}

// lockDir makes a volume's directory and locks it until the file is closed.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInUse
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}
