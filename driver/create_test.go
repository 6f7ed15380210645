package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCreateIsIdempotent(t *testing.T) {
	var prepared atomic.Int64
	f := &fakeMounter{prepare: func(context.Context, Spec) (bool, error) { prepared.Add(1); return true, nil }}
	d := open(t, stateDir(t), f)
	create(t, d, "v", "cache-size=1024M", "uid=5")
	create(t, d, "v", "cache_size=1G", "uid=5")
	create(t, d, "v", "cache_size=1G", "uid=5", "bucket=objvol", "prefix=v") // the same, spelled out
	if prepared.Load() != 1 {
		t.Errorf("prepared %d times", prepared.Load())
	}
	wantErr(t, d.Create(t.Context(), "v", nil), "exists with other options", `uid is "5", not "0"`)
	wantErr(t, d.Create(t.Context(), "v", pairs([]string{"cache-size=1G", "uid=5", "prefix=w"})), `prefix is "v/", not "w/"`)
	wantErr(t, d.Create(t.Context(), "v", pairs([]string{"uid=x"})), `volume "v": option uid`)
}

func TestCreateAtOnce(t *testing.T) {
	var prepared atomic.Int64
	f := &fakeMounter{prepare: func(context.Context, Spec) (bool, error) { prepared.Add(1); return true, nil }}
	d := open(t, stateDir(t), f)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { create(t, d, "v") })
	}
	wg.Wait()
	if prepared.Load() != 1 || len(d.Infos()) != 1 {
		t.Errorf("prepared %d times, %d volumes", prepared.Load(), len(d.Infos()))
	}
}

func TestCreateFails(t *testing.T) {
	f := &fakeMounter{prepare: func(context.Context, Spec) (bool, error) { return false, errors.New("access denied") }}
	d := open(t, stateDir(t), f)
	wantErr(t, d.Create(t.Context(), "v", nil), `volume "v": access denied`)
	if _, err := d.Info("v"); err == nil {
		t.Error("a volume whose Create failed is known")
	}
	f.prepare = nil
	create(t, d, "v", "uid=7")
}

// TestHangingCreate shows that a volume is not known before its Create succeeded, and not
// when it succeeds too late.
func TestHangingCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeMounter{prepare: func(_ context.Context, s Spec) (bool, error) {
			if s.Name == "v" {
				<-release
			}
			return true, nil
		}}
		d := open(t, stateDir(t), f)
		var wg sync.WaitGroup
		wg.Go(func() {
			wantTime(t, "Create", took(func() {
				wantErr(t, d.Create(t.Context(), "v", nil), "not created within 25s")
			}), createTimeout)
		})
		synctest.Wait()
		wantTime(t, "all else", took(func() {
			if _, err := d.Info("v"); err == nil {
				t.Error("a volume that is being created is known")
			}
			if _, err := d.Mount(t.Context(), "v", "a"); !errors.Is(err, errUnknown) {
				t.Errorf("Mount: %v", err)
			}
			create(t, d, "w")
			if n := len(d.Infos()); n != 1 {
				t.Errorf("%d volumes", n)
			}
			wantErr(t, d.Create(t.Context(), "x", pairs([]string{"prefix=v"})), "overlaps", `volume "v"`)
		}), 0)
		wg.Wait()
		close(release)
		synctest.Wait()
		if _, err := d.Info("v"); err == nil {
			t.Error("known, though its Create was answered with an error")
		}
		create(t, d, "v")
	})
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		first, second string
		refused       bool
	}{
		{"prefix=a", "prefix=a", true},
		{"prefix=a", "prefix=a/b", true},
		{"prefix=a/b", "prefix=a", true},
		{"prefix=", "prefix=x", true},
		{"prefix=x", "prefix=", true},
		{"prefix=a", "prefix=ab", false},
		{"prefix=a", "prefix=b", false},
		{"prefix=a", "prefix=a bucket=other", false},
		{"prefix=a", "prefix=a endpoint=http://h:1", false},
		{"prefix=a endpoint=http://H:80", "prefix=a endpoint=http://h/", true},
		{"prefix=a", "prefix=a/b ro", false},
		{"prefix=a ro", "prefix=a", true},
	} {
		d := open(t, stateDir(t), &fakeMounter{})
		create(t, d, "first", strings.Fields(c.first)...)
		err := d.Create(t.Context(), "second", pairs(strings.Fields(c.second)))
		if (err != nil) != c.refused {
			t.Errorf("%s and %s: %v", c.first, c.second, err)
		}
		if c.refused {
			wantErr(t, err, "overlaps", `"first"`)
		}
	}
}

func TestCreatePassesTheSpec(t *testing.T) {
	f := &fakeMounter{}
	defaults := BuiltIn()
	defaults.BasePrefix = "team/"
	d := openWith(t, Config{StateDir: stateDir(t), Defaults: defaults, Mounter: f})
	create(t, d, "a b", "access-key=k", "secret-key=s")
	if f.last.Name != "a b" || f.last.Prefix != "team/a%20b/" || f.last.SecretKey.Reveal() != "s" || f.last.ID == "" {
		t.Errorf("prepared %+v", f.last)
	}
	prepared := f.last
	mount(t, d, "a b", "x")
	if fmt.Sprintf("%+v", f.last) != fmt.Sprintf("%+v", prepared) && differences(prepared, f.last) != "" {
		t.Errorf("mounted %+v", f.last)
	}
	if f.last.ID != prepared.ID {
		t.Errorf("id changed from %s to %s", prepared.ID, f.last.ID)
	}
}

func TestRemove(t *testing.T) {
	var deleted []bool
	f := &fakeMounter{remove: func(_ context.Context, _ Spec, data bool) error {
		deleted = append(deleted, data)
		return nil
	}}
	d := open(t, stateDir(t), f)
	anon := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name, opts string
		empty      bool
		want       bool
	}{{"keep", "", true, false}, {"delete", "on-remove=delete", false, true}, {anon, "", true, true}, {anon, "", false, false}} {
		f.prepare = func(context.Context, Spec) (bool, error) { return c.empty, nil }
		create(t, d, c.name, strings.Fields(c.opts)...)
		first, err := d.Spec(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Remove(c.name); err != nil {
			t.Fatal(err)
		}
		if got := deleted[len(deleted)-1]; got != c.want {
			t.Errorf("%s %s: deleted %v", c.name, c.opts, got)
		}
		create(t, d, c.name)
		if again, err := d.Spec(c.name); err != nil || again.ID == first.ID {
			t.Errorf("a new volume has the id of the removed one: %v", err)
		}
		if err := d.Remove(c.name); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, d.Remove("keep"), "no such volume")
	if len(onDisk(t, d.state).records()) != 0 {
		t.Error("removed volumes are on disk")
	}
}

func TestRemoveRefuses(t *testing.T) {
	f := &fakeMounter{}
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	mount(t, d, "v", "a")
	wantErr(t, d.Remove("v"), `volume "v": in use: 1 references`)
	unmount(t, d, "v", "a")

	f.pending = func(context.Context, Spec) (Pending, error) {
		return Pending{Files: 1, Bytes: 5, Names: []string{"x"}}, nil
	}
	wantErr(t, d.Remove("v"), "1 file, 5 bytes (x)")
	f.pending = func(context.Context, Spec) (Pending, error) { return Pending{}, errors.New("index is damaged") }
	wantErr(t, d.Remove("v"), "cannot tell", "index is damaged")
	f.pending = nil

	f.remove = func(context.Context, Spec, bool) error { return errors.New("no route") }
	wantErr(t, d.Remove("v"), "no route")
	if i := info(t, d, "v"); i.Phase != Unmounted {
		t.Errorf("after a failed Remove %+v", i)
	}
	mount(t, d, "v", "a") // it is all there
	unmount(t, d, "v", "a")
	f.remove = nil
	if err := d.Remove("v"); err != nil {
		t.Error(err)
	}
}

// TestMountWaitsForRemove shows that a Mount that waited for a Remove does not bring the
// volume back.
func TestMountWaitsForRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeMounter{remove: func(context.Context, Spec, bool) error { <-release; return nil }}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Remove("v"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if i := info(t, d, "v"); i.Phase != Removing {
			t.Errorf("while removing %+v", i)
		}
		wg.Go(func() {
			if _, err := d.Mount(t.Context(), "v", "a"); !errors.Is(err, errUnknown) {
				t.Errorf("Mount: %v", err)
			}
		})
		wg.Go(func() { create(t, d, "v", "uid=9") })
		synctest.Wait()
		close(release)
		wg.Wait()
		if spec, err := d.Spec("v"); err != nil || spec.UID != 9 || f.mounts.Load() != 0 {
			t.Errorf("created again: %+v, %v", spec, err)
		}
	})
}
