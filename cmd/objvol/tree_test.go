package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/mounttest"
)

func TestTree(t *testing.T) {
	dir := mounttest.Dir(t)
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := cloneTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	is := func(wantAt, wantShown bool) {
		t.Helper()
		at, errAt := kept.at(dir)
		shown, errShown := kept.shown()
		if err := errors.Join(errAt, errShown); err != nil || at != wantAt || shown != wantShown {
			t.Errorf("at %v, shown %v, %v; want %v, %v", at, shown, err, wantAt, wantShown)
		}
	}
	is(true, true)
	for range 2 { // the second finds nothing to do
		if err := kept.detach(dir); err != nil {
			t.Fatal(err)
		}
	}
	is(false, false)

	elsewhere := mounttest.Dir(t)
	again, err := unix.OpenTree(kept.fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&tree{fd: again}).attach(elsewhere); err != nil {
		t.Fatal(err)
	}
	is(false, true)
	if _, err := os.Stat(filepath.Join(elsewhere, "file")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(unix.Close(again), detachFrom(elsewhere), kept.close()); err != nil {
		t.Error(err)
	}
	if err := kept.detach(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
}

func TestShows(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	const text = `22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
44 22 0:40 / /data rw,nodev - fuse.objvol objvol:0:41 rw
`
	if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]bool{"0:40": true, "8:1": true, "0:4": false, "0:41": false} {
		if got, err := shows(table, device); err != nil || got != want {
			t.Errorf("%s: %v, %v", device, got, err)
		}
	}
}
