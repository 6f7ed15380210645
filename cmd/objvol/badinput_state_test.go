package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// mounted is a directory on a filesystem of its own.
func mounted(t *testing.T, kind, options string) string {
	t.Helper()
	mounttest.Require(t)
	dir := filepath.Join(t.TempDir(), kind)
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(kind, dir, kind, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all space of a filesystem until release.
func fill(t *testing.T, dir string) (release func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := int64(1 << 20); block >= 1; {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, block), info.Size()); err != nil {
			block /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// A full state directory is an error of the volume that wants to write there.
func TestFullStateDirectory(t *testing.T) {
	s := objstoretest.MinIO(t)
	tiny := mounted(t, "tmpfs", "size=400m")
	d := startServe(t, s, filepath.Join(tiny, "state"))
	at := filepath.Join(d.state, "mnt", "vol")
	leaveNothing(t, at)
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	release := fill(t, tiny)
	d.refused("VolumeDriver.Create", `{"Name":"other"}`, "no space left")
	d.refused("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`, "no space left")
	if mountsBelow(t, d.state) != 0 {
		t.Error("mounted, although the Mount is an error")
	}
	if answer := d.must("VolumeDriver.Get", `{"Name":"vol"}`); !strings.Contains(answer, `"holders":{}`) {
		t.Errorf("a reference is left: %s", answer)
	}
	d.must("VolumeDriver.List", "{}")
	release()
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "write local")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	wantObject(t, s, "objvol/vol/local", []byte("local"))
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A state directory that cannot be written is said at the start.
func TestReadOnlyStateDirectory(t *testing.T) {
	tiny := mounted(t, "tmpfs", "size=1m")
	if err := syscall.Mount("", tiny, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "objvol.sock")
	p := start(t, objstoretest.Server{}, "serve", "--state-dir", filepath.Join(tiny, "state"), "--socket", socket, "--metrics-addr", "off")
	if code := p.code(t); code != exitError || !strings.Contains(p.stderr.String(), "read-only file system") || !strings.Contains(p.stderr.String(), tiny) {
		t.Errorf("exit code %d, %s", code, p.stderr)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left")
	}
}

// overlay is a directory on an overlay of one directory over another.
func overlay(t *testing.T, lower, upper string) string {
	t.Helper()
	return mounted(t, "overlay", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, t.TempDir()))
}

// A state directory on overlayfs is as good as any, also if what it holds comes from a
// lower layer: there, a descriptor that was opened for reading keeps showing the old content
// after the first write.
func TestStateDirectoryOnOverlayfs(t *testing.T) {
	t.Parallel()
	s := objstoretest.MinIO(t)
	for name, server := range map[string]objstoretest.Server{"embedded": {}, "minio": s} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upper := t.TempDir()
			round := func(on string, cases ...string) {
				t.Helper()
				d := startServe(t, server, filepath.Join(on, "state"))
				at := filepath.Join(d.state, "mnt", "vol")
				leaveNothing(t, at)
				d.must("VolumeDriver.Create", `{"Name":"vol"}`)
				for range 2 {
					d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
					for _, c := range cases {
						mounttest.Run(t, at, c)
					}
					d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
				}
				if code := d.end(t, syscall.SIGTERM); code != exitOK {
					t.Errorf("exit code %d", code)
				}
			}
			round(overlay(t, t.TempDir(), upper), "write big", "write more", "check more", "change big")
			round(overlay(t, upper, t.TempDir()), "check more", "change big", "write big", "change big")
			if server.Endpoint != "" {
				wantObject(t, s, "objvol/vol/big", bigWith(changedBig))
			}
		})
	}
}

// changedBig is what a change of the big file writes at bigPart, in the midst of it.
const (
	changedBig = "changed in the midst"
	bigPart    = 1 << 20
)

// bigWith is a file that is large enough to be passed through, with a text in its midst.
func bigWith(text string) []byte {
	data := bytes.Repeat(large, 12)
	copy(data[bigPart:], text)
	return data
}

func writeBig(dir string) error { return os.WriteFile(filepath.Join(dir, "big"), bigWith(""), 0o600) }

// changeBig writes while the file is open for reading too, and compares what both see.
func changeBig(dir string) (err error) {
	path := filepath.Join(dir, "big")
	before, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, before.Close()) }()
	if _, err := before.ReadAt(make([]byte, 10), bigPart); err != nil {
		return err
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = w.WriteAt([]byte(changedBig), bigPart)
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	early, err := io.ReadAll(before)
	if err != nil {
		return err
	}
	late, err := os.ReadFile(path)
	if want := bigWith(changedBig); err == nil && (!bytes.Equal(early, want) || !bytes.Equal(late, want)) {
		err = fmt.Errorf("read %d and %d bytes that are not the %d written", len(early), len(late), len(want))
	}
	return err
}

// The embedded store needs user xattrs, and says so where there are none.
func TestStateDirectoryWithoutXattrs(t *testing.T) {
	t.Parallel()
	d := startServe(t, objstoretest.Server{}, filepath.Join(mounted(t, "ramfs", ""), "state"))
	d.refused("VolumeDriver.Create", `{"Name":"vol"}`, d.state, "keeps no user xattrs", "choose another state directory")
	if got := d.must("VolumeDriver.List", "{}"); !strings.Contains(got, `"Volumes":[]`) {
		t.Errorf("left: %s", got)
	}
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
