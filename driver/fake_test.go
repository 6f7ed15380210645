package driver

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeMounter is a filesystem of function fields; nil ones succeed at once. It counts what
// is mounted.
type fakeMounter struct {
	prepare func(context.Context, Spec) (bool, error)
	mount   func(context.Context, Spec) error
	verify  func(context.Context) error
	drain   func(context.Context)
	unmount func(context.Context) error
	pending func(context.Context, Spec) (Pending, error)
	remove  func(context.Context, Spec, bool) error
	status  func() MountStatus

	mounts, unmounts, live atomic.Int64

	mu   sync.Mutex
	last Spec // of the latest Prepare or Mount
}

func (f *fakeMounter) saw(s Spec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = s
}

func (f *fakeMounter) Prepare(ctx context.Context, s Spec) (bool, error) {
	f.saw(s)
	if f.prepare == nil {
		return true, nil
	}
	return f.prepare(ctx, s)
}

func (f *fakeMounter) Mount(ctx context.Context, s Spec, dir string) (Mount, error) {
	f.saw(s)
	if f.mount != nil {
		if err := f.mount(ctx, s); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	f.mounts.Add(1)
	f.live.Add(1)
	return &fakeMount{f: f}, nil
}

func (f *fakeMounter) Pending(ctx context.Context, s Spec) (Pending, error) {
	if f.pending == nil {
		return Pending{}, nil
	}
	return f.pending(ctx, s)
}

func (f *fakeMounter) Remove(ctx context.Context, s Spec, deleteData bool) error {
	if f.remove == nil {
		return nil
	}
	return f.remove(ctx, s, deleteData)
}

type fakeMount struct {
	f *fakeMounter
}

func (m *fakeMount) Verify(ctx context.Context) error {
	if m.f.verify == nil {
		return nil
	}
	return m.f.verify(ctx)
}

func (m *fakeMount) Drain(ctx context.Context) {
	if m.f.drain != nil {
		m.f.drain(ctx)
	}
}

func (m *fakeMount) Unmount(ctx context.Context) error {
	m.f.unmounts.Add(1)
	m.f.live.Add(-1)
	if m.f.unmount == nil {
		return nil
	}
	return m.f.unmount(ctx)
}

func (m *fakeMount) Status() MountStatus {
	if m.f.status == nil {
		return MountStatus{}
	}
	return m.f.status()
}

// logBuffer collects a log that many goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open starts a driver on dir that is closed with the test.
func open(t *testing.T, dir string, f *fakeMounter) *Driver {
	t.Helper()
	return openWith(t, Config{StateDir: dir, Defaults: BuiltIn(), Mounter: f})
}

func openWith(t *testing.T, cfg Config) *Driver {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.stopping.Err() == nil {
			shut(t, d)
		}
	})
	return d
}

// shut closes a driver and expects it to have nothing to say.
func shut(t *testing.T, d *Driver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func stateDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state")
}

func create(t *testing.T, d *Driver, name string, opts ...string) {
	t.Helper()
	if err := d.Create(t.Context(), name, pairs(opts)); err != nil {
		t.Fatal(err)
	}
}

// pairs makes options of "key=value".
func pairs(opts []string) map[string]string {
	m := map[string]string{}
	for _, o := range opts {
		k, v, _ := strings.Cut(o, "=")
		m[k] = v
	}
	return m
}

func mount(t *testing.T, d *Driver, name, id string) string {
	t.Helper()
	dir, err := d.Mount(t.Context(), name, id)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func unmount(t *testing.T, d *Driver, name, id string) {
	t.Helper()
	if err := d.Unmount(name, id); err != nil {
		t.Fatal(err)
	}
}

func info(t *testing.T, d *Driver, name string) Info {
	t.Helper()
	i, err := d.Info(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// wantErr expects an error whose text has all of the parts.
func wantErr(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}
