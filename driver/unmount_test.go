package driver

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnmountNamesWhatIsPending drains for 50 s in vain.
func TestUnmountNamesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := Pending{Files: 7, Bytes: 4096, Names: []string{"a/b", "c", "d", "e", "f", "g"}}
		var done atomic.Bool
		f := &fakeMounter{
			drain:   func(ctx context.Context) { <-ctx.Done() },
			unmount: func(context.Context) error { return &PendingError{left} },
			pending: func(context.Context, Spec) (Pending, error) {
				if done.Load() {
					return Pending{}, nil
				}
				return left, nil
			},
		}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		f.drain = func(ctx context.Context) {
			if n := onDisk(t, d.state).references("v"); n != 0 {
				t.Errorf("draining before the reference is gone from the disk: %d", n)
			}
			<-ctx.Done()
		}
		wantTime(t, "Unmount", took(func() {
			err := d.Unmount("v", "a")
			wantErr(t, err, `volume "v"`, "7 files, 4096 bytes (a/b, c, d, e, f and 2 more)", "upload goes on")
			if pending, ok := errors.AsType[*PendingError](err); !ok || pending.Files != 7 {
				t.Errorf("not a PendingError: %v", err)
			}
		}), drainTimeout)
		if i := info(t, d, "v"); i.Phase != Unmounted || i.Pending.Files != 7 || i.Pending.Bytes != 4096 || i.Mountpoint != "" {
			t.Errorf("afterwards %+v", i)
		}
		unmount(t, d, "v", "a") // repeated
		wantErr(t, d.Remove("v"), "not yet in the bucket", "7 files")

		// The upload goes on, and Get tells when it is done.
		time.Sleep(5 * watchInterval)
		if i := info(t, d, "v"); i.Pending.Files != 7 {
			t.Errorf("while uploading %+v", i)
		}
		done.Store(true)
		time.Sleep(watchInterval)
		synctest.Wait()
		if i := info(t, d, "v"); !i.Pending.None() || i.LastError != nil {
			t.Errorf("after the upload %+v", i)
		}
		if err := d.Remove("v"); err != nil {
			t.Error(err)
		}
	})
}

func TestPendingIsGoneWithTheNextMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{unmount: func(context.Context) error { return &PendingError{Pending{Files: 1, Bytes: 1}} }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		wantErr(t, d.Unmount("v", "a"), "1 file, 1 bytes")
		f.unmount = nil
		f.pending = func(context.Context, Spec) (Pending, error) {
			t.Error("asked for pending data of a mounted volume")
			return Pending{}, nil
		}
		mount(t, d, "v", "a")
		if i := info(t, d, "v"); !i.Pending.None() {
			t.Errorf("mounted: %+v", i)
		}
		time.Sleep(2 * watchInterval)
	})
}

// TestHangingUnmount has a mount that does not even come back from its deadline.
func TestHangingUnmount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeMounter{unmount: func(context.Context) error { <-release; return nil }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		wantTime(t, "Unmount", took(func() {
			wantErr(t, d.Unmount("v", "a"), "not unmounted within 50s")
		}), drainTimeout+grace)
		wantTime(t, "repeated Unmount and Get", took(func() {
			unmount(t, d, "v", "a")
			info(t, d, "v")
		}), 0)
		wantTime(t, "Mount", took(func() {
			_, err := d.Mount(t.Context(), "v", "b")
			wantErr(t, err, "not mounted within 25s", "still busy")
		}), mountTimeout-grace)
		wantTime(t, "Remove", took(func() {
			wantErr(t, d.Remove("v"), "not removed within 50s", "still busy")
		}), drainTimeout)
		close(release)
		synctest.Wait()
		mount(t, d, "v", "b")
		f.unmount = nil
	})
}

// TestUnmountWaitsForItsTurn unmounts what is still busy with a verification that hangs:
// the mount is gone when that ends, for nobody holds it.
func TestUnmountWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		f.verify = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		go func() {
			_, err := d.Mount(t.Context(), "v", "b")
			wantErr(t, err, "does not answer")
		}()
		synctest.Wait()
		wantTime(t, "Unmount", took(func() { unmount(t, d, "v", "a") }), mountTimeout-grace)
		synctest.Wait()
		if f.live.Load() != 0 {
			t.Error("still mounted")
		}
	})
}

func TestUnmountOfNothing(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	unmount(t, d, "unknown", "a")
	unmount(t, d, "v", "a")
	mount(t, d, "v", "a")
	unmount(t, d, "v", "b")
	unmount(t, d, "v", "")
	if f.live.Load() != 1 {
		t.Error("an unknown ID ended the mount")
	}
}

// TestUnmountWithoutDisk unmounts all the same and says that the disk did not hear of it.
func TestUnmountWithoutDisk(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	mount(t, d, "v", "a")
	d.state.path = filepath.Join(t.TempDir(), "missing", "x")
	wantErr(t, d.Unmount("v", "a"), "missing")
	if f.live.Load() != 0 {
		t.Error("still mounted")
	}
	unmount(t, d, "v", "a")
}
