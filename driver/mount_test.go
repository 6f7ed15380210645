package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// took returns how long f took on the bubble's clock.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// wantTime compares a time of the bubble's clock, which is exact.
func wantTime(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("%s took %s, want %s", what, got, want)
	}
}

func TestConcurrentMountsShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		f := &fakeMounter{mount: func(context.Context, Spec) error { <-proceed; return nil }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { mount(t, d, "v", fmt.Sprint(i%3)) })
		}
		synctest.Wait()
		if i := info(t, d, "v"); i.Phase != Mounting || i.Mountpoint != "" || i.References() != 0 {
			t.Errorf("while mounting: %+v", i)
		}
		close(proceed)
		wg.Wait()
		if got, want := info(t, d, "v").Holders, (map[string]int{"0": 4, "1": 3, "2": 3}); !maps.Equal(got, want) {
			t.Errorf("holders %v, want %v", got, want)
		}
		if got := onDisk(t, d.state).references("v"); got != 10 || f.mounts.Load() != 1 {
			t.Errorf("%d references on disk, %d mounts", got, f.mounts.Load())
		}
	})
}

// TestHangingMounterHangsNobodyElse has a Mounter that ignores its deadline: Mount answers
// at 25 s, all else at once; what comes in the end is taken away again.
func TestHangingMounterHangsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeMounter{mount: func(_ context.Context, s Spec) error {
			if s.Name == "dead" {
				<-release
			}
			return nil
		}}
		d := open(t, stateDir(t), f)
		create(t, d, "dead")
		create(t, d, "live")
		var wg sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			wg.Go(func() {
				wantTime(t, "Mount", took(func() {
					_, err := d.Mount(t.Context(), "dead", id)
					wantErr(t, err, `volume "dead"`, "not mounted within 25s")
				}), map[string]time.Duration{"a": mountTimeout, "b": mountTimeout - grace}[id])
			})
			synctest.Wait() // b waits for a's turn and says so a little earlier
		}
		wantTime(t, "everything else", took(func() {
			r := request{d, t.Context()}
			if _, err := r.Get(getRequest("dead")); err != nil {
				t.Error(err)
			}
			if l, err := r.List(); err != nil || len(l.Volumes) != 2 {
				t.Error(l, err)
			}
			r.Capabilities()
			mount(t, d, "live", "x")
			unmount(t, d, "live", "x")
			unmount(t, d, "dead", "a") // holds nothing yet
			create(t, d, "third")
			create(t, d, "live")
		}), 0)
		wg.Wait()
		wantTime(t, "Create of the busy volume", took(func() {
			wantErr(t, d.Create(t.Context(), "dead", nil), "not created within 25s", "still busy")
		}), createTimeout-grace)
		close(release)
		synctest.Wait()
		if i := info(t, d, "dead"); i.Phase != Unmounted || i.References() != 0 || f.live.Load() != 0 {
			t.Errorf("after the late mount: %+v, %d mounts", i, f.live.Load())
		}
		mount(t, d, "dead", "c")
	})
}

// TestMountTellsWhy has a Mounter that keeps its deadline and knows what is wrong.
func TestMountTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{mount: func(ctx context.Context, _ Spec) error {
			<-ctx.Done()
			return fmt.Errorf("dial tcp 10.0.0.1:9000: %w", ctx.Err())
		}}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		wantTime(t, "Mount", took(func() {
			_, err := d.Mount(t.Context(), "v", "a")
			wantErr(t, err, "not mounted within 25s", "dial tcp 10.0.0.1:9000")
		}), mountTimeout-grace)
		if i := info(t, d, "v"); i.Phase != Unmounted || i.LastError == nil || !strings.Contains(i.LastError.Error(), "dial tcp") {
			t.Errorf("afterwards %+v", i)
		}
		f.mount = nil
		mount(t, d, "v", "a")
		if i := info(t, d, "v"); i.LastError != nil {
			t.Errorf("after success %+v", i)
		}
	})
}

func TestMountIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{verify: func(context.Context) error { return errors.New("a plain directory") }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		_, err := d.Mount(t.Context(), "v", "a")
		wantErr(t, err, "not the volume", "a plain directory")
		if f.live.Load() != 0 || d.state.references("v") != 0 {
			t.Error("a mount that is not one was kept")
		}

		hang := make(chan struct{})
		defer close(hang)
		f.verify = func(context.Context) error { <-hang; return nil }
		wantTime(t, "Mount", took(func() {
			_, err := d.Mount(t.Context(), "v", "a")
			wantErr(t, err, "does not answer")
		}), mountTimeout-grace)
		if f.live.Load() != 0 || d.state.references("v") != 0 {
			t.Error("a mount that does not answer was kept")
		}
	})
}

// TestLostMountIsReplaced ends the mount behind the driver's back.
func TestLostMountIsReplaced(t *testing.T) {
	lost := false
	f := &fakeMounter{verify: func(context.Context) error {
		if lost {
			return errors.New("not mounted")
		}
		return nil
	}}
	f.mount = func(context.Context, Spec) error { lost = false; return nil }
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	mount(t, d, "v", "a")
	lost = true
	mount(t, d, "v", "b")
	if f.mounts.Load() != 2 || f.live.Load() != 1 || info(t, d, "v").References() != 2 {
		t.Errorf("%d mounts, %d live, %+v", f.mounts.Load(), f.live.Load(), info(t, d, "v"))
	}
}

// TestCallerGoneAtTheEnd ends the request in the moment in which the mount is done.
func TestCallerGoneAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fakeMounter{}
		d := open(t, stateDir(t), f)
		f.verify = func(context.Context) error { cancel(); return nil }
		create(t, d, "v")
		if _, err := d.Mount(ctx, "v", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("Mount: %v", err)
		}
		synctest.Wait()
		if i := info(t, d, "v"); i.References() != 0 || i.Phase != Unmounted || f.live.Load() != 0 {
			t.Errorf("left: %+v, %d mounts", i, f.live.Load())
		}
		if n := onDisk(t, d.state).references("v"); n != 0 {
			t.Errorf("%d references on disk", n)
		}
	})
}

func TestMountNeedsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		good := d.state.path
		d.state.path = filepath.Join(t.TempDir(), "missing", "x")
		_, err := d.Mount(t.Context(), "v", "a")
		wantErr(t, err, "write", "missing")
		synctest.Wait()
		if f.live.Load() != 0 || d.state.references("v") != 0 {
			t.Error("a reference that is not on disk keeps a mount")
		}
		d.state.path = good
		mount(t, d, "v", "a")
	})
}

// TestCopyIntoRunningContainer is "docker cp": Mount and Unmount with the running
// container's own ID.
func TestCopyIntoRunningContainer(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	mount(t, d, "v", "container")
	mount(t, d, "v", "container")
	unmount(t, d, "v", "container")
	if f.live.Load() != 1 {
		t.Fatal("cp ended the container's mount")
	}
	unmount(t, d, "v", "container")
	if f.live.Load() != 0 {
		t.Error("the container's end left the mount")
	}
}

// TestKilledEngine lets a new engine mount with the ID that its killed predecessor left.
func TestKilledEngine(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	e := serveDriver(t, d)
	create(t, d, "v")
	mount(t, d, "v", "container")
	e.post("/Plugin.Activate", "")
	mount(t, d, "v", "container")
	if got := info(t, d, "v").Holders["container"]; got != 1 {
		t.Errorf("count %d, want 1", got)
	}
	unmount(t, d, "v", "container")
	if f.live.Load() != 0 || f.mounts.Load() != 1 {
		t.Errorf("%d mounts live of %d", f.live.Load(), f.mounts.Load())
	}
}

// TestMountCutsDrainShort restarts a container whose volume drains: the mount stays.
func TestMountCutsDrainShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{drain: func(ctx context.Context) { <-ctx.Done() }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		var wg sync.WaitGroup
		wg.Go(func() {
			wantTime(t, "Unmount", took(func() { unmount(t, d, "v", "a") }), 3*time.Second)
		})
		time.Sleep(3 * time.Second)
		if i := info(t, d, "v"); i.Phase != Draining || i.Mountpoint == "" || i.References() != 0 {
			t.Errorf("while draining: %+v", i)
		}
		wantTime(t, "Mount", took(func() { mount(t, d, "v", "b") }), 0)
		wg.Wait()
		if i := info(t, d, "v"); i.Phase != Mounted || f.mounts.Load() != 1 || f.unmounts.Load() != 0 {
			t.Errorf("afterwards %+v, %d mounts", i, f.mounts.Load())
		}
		f.drain = nil
	})
}

// TestMountCutsDrainAndFails is the same with a Mount whose caller goes away: nobody wants
// the volume then.
func TestMountCutsDrainAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{drain: func(ctx context.Context) { <-ctx.Done() }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "a")
		var wg sync.WaitGroup
		wg.Go(func() { unmount(t, d, "v", "a") })
		synctest.Wait()
		f.verify = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		_, err := d.Mount(t.Context(), "v", "b")
		wantErr(t, err, "not mounted within")
		wg.Wait()
		time.Sleep(drainTimeout) // of the settling
		synctest.Wait()
		if f.live.Load() != 0 || info(t, d, "v").Phase != Unmounted {
			t.Errorf("a volume that nobody holds stays mounted: %+v", info(t, d, "v"))
		}
	})
}

func TestManyMountsAndUnmounts(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	for _, name := range []string{"v", "w"} {
		create(t, d, name)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			name, id := []string{"v", "w"}[i%2], fmt.Sprint(i%7)
			mount(t, d, name, id)
			if got := info(t, d, name); got.Mountpoint == "" || got.Holders[id] == 0 {
				t.Errorf("%s is held by %s and not mounted: %+v", name, id, got)
			}
			d.Infos()
			unmount(t, d, name, id)
		})
	}
	wg.Wait()
	if f.live.Load() != 0 || f.mounts.Load() == 0 {
		t.Errorf("%d of %d mounts are left", f.live.Load(), f.mounts.Load())
	}
	for _, name := range []string{"v", "w"} {
		if n := onDisk(t, d.state).references(name); n != 0 {
			t.Errorf("%d references of %s are left", n, name)
		}
	}
}
