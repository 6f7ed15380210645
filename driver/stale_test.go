package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// deadMount leaves a FUSE mount at dir that nobody serves, as a killed driver does.
func deadMount(t *testing.T, dir string) {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		err = syscall.Mount("objvol:test", dir, "fuse", syscall.MS_NODEV,
			fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,subtype=objvol", fuse.Fd()))
		err = errors.Join(err, fuse.Close())
	}
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), "fuse") {
			t.Fatalf("FUSE is required: %v", err)
		}
		t.Skipf("no FUSE here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // fails if the test went well
	if _, err := os.ReadDir(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("the dead mount answers %v", err)
	}
}

// TestStaleMounts lets a driver start where a killed one left mounts: those below mnt go,
// also two on one another, and no other.
func TestStaleMounts(t *testing.T) {
	dir := stateDir(t)
	f := &fakeMounter{}
	d := open(t, dir, f)
	create(t, d, "a b")
	path := mount(t, d, "a b", "x")
	shut(t, d)
	outside := t.TempDir()
	deadMount(t, path)
	deadMount(t, path)
	deadMount(t, outside)

	d = open(t, dir, f)
	if _, err := os.ReadDir(path); err != nil {
		t.Errorf("the stale mount is still there: %v", err)
	}
	if _, err := os.ReadDir(outside); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a mount that is not ours was touched: %v", err)
	}
	unmount(t, d, "a b", "x")

	// One that appears later does not end up below the next mount.
	deadMount(t, path)
	mount(t, d, "a b", "x")
	if _, err := os.ReadDir(path); err != nil {
		t.Errorf("mounted over a dead mount: %v", err)
	}
	if got, err := filepath.EvalSymlinks(path); err != nil || got != path {
		t.Errorf("mountpoint %s: %v", got, err)
	}
}
