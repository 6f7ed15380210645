package driver

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fixture lays a driver.json of an earlier release into a new state directory.
func fixture(t *testing.T, name string) string {
	t.Helper()
	dir := stateDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	data := readFile(t, filepath.Join("testdata", name))
	if err := os.WriteFile(filepath.Join(dir, "driver.json"), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const fixtureSecrets = "k5xw2q7h3mzt4n6yrb2c5d7fga"

func TestOpenV1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := fixture(t, "driver-v1.json")
		if err := os.WriteFile(filepath.Join(dir, "secrets", fixtureSecrets), []byte(`{"accessKey":"k","secretKey":"s"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		defaults := BuiltIn()
		defaults.Bucket, defaults.BasePrefix, defaults.CacheSize = "moved", "elsewhere/", 5<<30
		f := &fakeMounter{}
		d := openWith(t, Config{StateDir: dir, Defaults: defaults, Mounter: f})
		synctest.Wait()

		i := info(t, d, "data")
		if i.Phase != Mounted || i.Mountpoint != filepath.Join(dir, "mnt", "data") || f.mounts.Load() != 1 {
			t.Errorf("a volume with references is not mounted again: %+v", i)
		}
		if want := (map[string]int{"4a3f": 2, "77b0": 2}); !maps.Equal(i.Holders, want) {
			t.Errorf("holders %v, want %v", i.Holders, want)
		}
		if got := i.CreatedAt.Format(time.RFC3339Nano); got != "2026-11-21T09:30:00.123456789Z" {
			t.Errorf("created at %s", got)
		}
		spec, err := d.Spec("data")
		if err != nil {
			t.Fatal(err)
		}
		// Its place is what it was, the rest follows the defaults of today.
		want := defaults.Spec
		want.Endpoint, want.Region, want.Bucket, want.Prefix = "http://127.0.0.1:9000", "eu-west-1", "prod", "team/data/"
		want.UID, want.AccessKey, want.SecretKey = 1000, NewSecret("k"), NewSecret("s")
		if diff := differences(want, spec); diff != "" || spec.ID != fixtureSecrets {
			t.Errorf("spec of data: %s", diff)
		}
		if idle := info(t, d, "idle"); idle.Phase != Unmounted || idle.Bucket != "objvol" || idle.Prefix != "idle/" {
			t.Errorf("idle is %+v", idle)
		}
		create(t, d, "idle") // with no options it is still the same volume

		for _, id := range []string{"4a3f", "4a3f", "77b0"} { // 77b0 is of an earlier epoch
			unmount(t, d, "data", id)
		}
		if f.live.Load() != 0 {
			t.Error("the last Unmount left the mount")
		}
	})
}

// TestSickVolume loses one volume's keys: that volume says so, the rest goes on.
func TestSickVolume(t *testing.T) {
	for content, want := range map[string]string{"": "no such file", `{"accessKey": "hunter2`: "damaged"} {
		dir := fixture(t, "driver-v1.json")
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, "secrets", fixtureSecrets), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f := &fakeMounter{}
		d := open(t, dir, f)
		_, err := d.Mount(t.Context(), "data", "x")
		wantErr(t, err, "keys cannot be read", want)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
		if i := info(t, d, "data"); i.LastError == nil {
			t.Errorf("not told: %+v", i)
		}
		mount(t, d, "idle", "x")
		for id, n := range info(t, d, "data").Holders {
			for range n {
				unmount(t, d, "data", id)
			}
		}
		if err := d.Remove("data"); err != nil {
			t.Errorf("it cannot be removed: %v", err)
		}
	}
}

// TestSweepSecrets removes keys that a Create left that did not come to its end.
func TestSweepSecrets(t *testing.T) {
	dir := stateDir(t)
	d := open(t, dir, &fakeMounter{})
	create(t, d, "v", "access-key=k", "secret-key=s")
	spec, err := d.Spec("v")
	if err != nil {
		t.Fatal(err)
	}
	shut(t, d)
	for _, name := range []string{"orphan", spec.ID + ".tmp"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d = open(t, dir, &fakeMounter{})
	wantFiles(t, filepath.Join(dir, "secrets"), spec.ID)
	mount(t, d, "v", "a")
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		f := &fakeMounter{}
		d := open(t, dir, f)
		create(t, d, "v", "secret-key=s", "access-key=k", "prefix=p")
		create(t, d, "w")
		mount(t, d, "v", "a")
		before, err := d.Spec("v")
		if err != nil {
			t.Fatal(err)
		}
		shut(t, d)
		if f.live.Load() != 0 {
			t.Error("a stopped driver leaves a mount")
		}

		// The store is down at first: the driver starts and answers all the same.
		down := atomic.Bool{}
		down.Store(true)
		f.mount = func(context.Context, Spec) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		d = open(t, dir, f)
		synctest.Wait()
		if i := info(t, d, "v"); i.References() != 1 || i.Phase != Unmounted || i.LastError == nil || i.Mountpoint != "" {
			t.Errorf("after a restart without a store: %+v", i)
		}
		after, err := d.Spec("v")
		if err != nil {
			t.Fatal(err)
		}
		if diff := differences(before, after); diff != "" || before.ID != after.ID || !maps.Equal(before.Given, after.Given) {
			t.Errorf("the spec changed: %s", diff)
		}
		wantErr(t, d.Remove("v"), "in use")
		down.Store(false)
		mount(t, d, "v", "a") // docker cp
		unmount(t, d, "v", "a")
		if f.live.Load() != 1 {
			t.Error("cp ended the mount of a container from before the restart")
		}
		unmount(t, d, "v", "a")
		if f.live.Load() != 0 {
			t.Error("still mounted")
		}
	})
}

// TestRestartPending: what an earlier driver could not upload is told, and the last
// Unmount of a volume that could not be mounted again does not call it safe.
func TestRestartPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		f := &fakeMounter{}
		d := open(t, dir, f)
		create(t, d, "held")
		create(t, d, "idle")
		mount(t, d, "held", "a")
		shut(t, d)

		f.mount = func(context.Context, Spec) error { return errors.New("connection refused") }
		f.pending = func(context.Context, Spec) (Pending, error) { return Pending{Files: 1, Bytes: 3}, nil }
		d = open(t, dir, f)
		synctest.Wait()
		if i := info(t, d, "idle"); i.Pending.Files != 1 {
			t.Errorf("idle: %+v", i)
		}
		wantErr(t, d.Unmount("held", "a"), "1 file, 3 bytes")
		f.pending = nil
	})
}

// TestDeadVolumeDoesNotDelayStart mounts several volumes again, one of which hangs.
func TestDeadVolumeDoesNotDelayStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		f := &fakeMounter{}
		d := open(t, dir, f)
		for _, name := range []string{"a", "b", "c"} {
			create(t, d, name)
			mount(t, d, name, "x")
		}
		shut(t, d)
		release := make(chan struct{})
		f.mount = func(_ context.Context, s Spec) error {
			if s.Name == "b" {
				<-release
			}
			return nil
		}
		wantTime(t, "start", took(func() { d = open(t, dir, f) }), 0)
		synctest.Wait()
		for name, want := range map[string]Phase{"a": Mounted, "b": Mounting, "c": Mounted} {
			if got := info(t, d, name).Phase; got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		close(release)
	})
}

func TestCloseDrainsWithinItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMounter{}
		dir := stateDir(t)
		d := open(t, dir, f)
		create(t, d, "good")
		create(t, d, "slow")
		mount(t, d, "good", "x")
		mount(t, d, "slow", "x")
		f.unmount = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return &PendingError{Pending{Files: 2, Bytes: 9, Names: []string{"p", "q"}}}
			case <-time.After(15 * time.Second):
				return nil
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		wantTime(t, "Close", took(func() {
			wantErr(t, d.Close(ctx), `volume "good"`, `volume "slow"`, "2 files, 9 bytes (p, q)")
		}), 10*time.Second)
		if f.live.Load() != 0 {
			t.Error("left mounted")
		}
		if n := onDisk(t, d.state).references("slow"); n != 1 {
			t.Errorf("%d references are kept, want 1", n)
		}
		if _, err := d.Mount(t.Context(), "good", "y"); !errors.Is(err, errStopping) {
			t.Errorf("Mount after Close: %v", err)
		}
		f.unmount = nil
		open(t, dir, f) // the lock is free
	})
}

// TestCloseDuringAnUnmount has no time for a draining that is under way: the Unmount and
// Close both say what is left.
func TestCloseDuringAnUnmount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := Pending{Files: 1, Bytes: 5, Names: []string{"p"}}
		f := &fakeMounter{
			drain:   func(ctx context.Context) { <-ctx.Done() },
			unmount: func(context.Context) error { return &PendingError{left} },
			pending: func(context.Context, Spec) (Pending, error) { return left, nil },
		}
		d := open(t, stateDir(t), f)
		create(t, d, "v")
		mount(t, d, "v", "x")
		unmounted := make(chan error, 1)
		go func() { unmounted <- d.Unmount("v", "x") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		wantTime(t, "Close", took(func() { wantErr(t, d.Close(ctx), `volume "v"`, "1 file, 5 bytes (p)") }), 5*time.Second)
		wantErr(t, <-unmounted, "1 file, 5 bytes (p)")
	})
}

// TestCloseWhileBusy closes during a drain and during a mount that hangs.
func TestCloseWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeMounter{
			drain: func(ctx context.Context) { <-ctx.Done() },
			mount: func(_ context.Context, s Spec) error {
				if s.Name == "hung" {
					<-release
				}
				return nil
			},
		}
		d := open(t, stateDir(t), f)
		create(t, d, "draining")
		create(t, d, "hung")
		mount(t, d, "draining", "x")
		go func() { _ = d.Unmount("draining", "x") }() // ends with the drain or the test
		go func() { _, _ = d.Mount(t.Context(), "hung", "x") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		wantTime(t, "Close", took(func() { wantErr(t, d.Close(ctx), `volume "hung"`, "still busy") }), 5*time.Second+grace)
		if f.live.Load() != 0 {
			t.Error("left mounted")
		}
		close(release)
		synctest.Wait()
		if f.live.Load() != 0 {
			t.Error("a mount came after Close and stays")
		}
	})
}

const mountinfo = `24 30 0:22 / /proc rw,relatime - proc proc rw
36 35 98:0 / /var/lib/objvol/mnt/plain rw - ext4 /dev/sda rw
37 35 0:51 / /var/lib/objvol/mnt/a rw,nodev master:1 - fuse.objvol objvol:a rw,user_id=0
38 37 0:52 / /var/lib/objvol/mnt/a/inner rw - fuse other rw
39 35 0:53 / /var/lib/objvol/mnt/b\040c\134d rw shared:3 propagate_from:2 - fuse.objvol objvol:b rw
40 35 0:54 / /var/lib/objvol/mnt2/x rw - fuse.objvol x rw
41 35 0:55 / /sys/fs/fuse/connections rw - fusectl fusectl rw
42 35 0:56 / /x - y rw - fuse.sshfs h: rw
truncated
`

func TestFuseMounts(t *testing.T) {
	got, err := fuseMounts(strings.NewReader(mountinfo))
	want := []string{
		"/var/lib/objvol/mnt/a", "/var/lib/objvol/mnt/a/inner", `/var/lib/objvol/mnt/b c\d`, "/var/lib/objvol/mnt2/x",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	if below("/var/lib/objvol/mnt2/x", "/var/lib/objvol/mnt") || !below("/var/lib/objvol/mnt/a/inner", "/var/lib/objvol/mnt") {
		t.Error("below takes a neighbour for a child")
	}
	for in, want := range map[string]string{`a\040b`: "a b", `\134`: `\`, `a\04`: `a\04`, `\999`: `\999`, "": ""} {
		if got := unescapeOctal(in); got != want {
			t.Errorf("unescapeOctal(%q) = %q, want %q", in, got, want)
		}
	}
}
