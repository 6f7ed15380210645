package floor_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"objvol/cmd/bench/floor"
	"objvol/fusefs/mounttest"
)

func TestMain(m *testing.M) {
	mounttest.Main(m, mounttest.Cases{
		"loopback": func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, "below"))
			if err == nil && string(data) != "there" {
				err = fmt.Errorf("read %q", data)
			}
			if err != nil {
				return err
			}
			if err := os.Mkdir(filepath.Join(dir, "made"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "made/file"), []byte("above"), 0o600)
		},
		"memory": func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, "file"))
			if err == nil && !bytes.Equal(data, content(0, fileSize)) {
				err = fmt.Errorf("%d bytes, or others", len(data))
			}
			return err
		},
	})
}

// fileSize is some requests and a part of a page.
const fileSize = 3<<20 + 100

// content tells its offset.
func content(offset int64, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte((offset + int64(i)) / 4096)
	}
	return data
}

// served runs a case in a directory on which something is mounted until that has ended.
func served(t *testing.T, name string, serve func(ctx context.Context, dir string) error) {
	t.Helper()
	dir := mounttest.Dir(t)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, dir) }()
	// The test fails in the case if the mount never comes.
	for range 1000 {
		if mounttest.Mounted(t, dir) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	mounttest.Run(t, dir, name)
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLoopback(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "below"), []byte("there"), 0o600); err != nil {
		t.Fatal(err)
	}
	served(t, "loopback", func(ctx context.Context, dir string) error { return floor.Loopback(ctx, source, dir) })
	if data, err := os.ReadFile(filepath.Join(source, "made/file")); err != nil || string(data) != "above" {
		t.Errorf("%q (%v)", data, err)
	}
}

func TestMemory(t *testing.T) {
	f := floor.File{Name: "file", Size: fileSize, Fill: func(data []byte, offset int64) { copy(data, content(offset, len(data))) }}
	served(t, "memory", func(ctx context.Context, dir string) error { return floor.Memory(ctx, f, dir) })
}

func TestMountFails(t *testing.T) {
	mounttest.Require(t)
	if err := floor.Loopback(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("mounted on nothing")
	}
	if err := floor.Loopback(t.Context(), filepath.Join(t.TempDir(), "none"), t.TempDir()); err == nil {
		t.Error("shows nothing")
	}
}
