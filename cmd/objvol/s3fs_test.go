package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"objvol/driver"
	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// treeFile is what a file of the test tree must look like in every client.
type treeFile struct {
	name     string
	mode     os.FileMode
	uid, gid int
	content  string // of a symlink the target
}

// wholeTree is written by one client and read by another; parents come first.
var wholeTree = []treeFile{
	{"file", 0o640, 12, 34, "content"},
	{"empty", 0o600, 1, 2, ""},
	{"setuid", 0o755 | os.ModeSetuid, 0, 0, "#!/bin/sh\n"},
	{"large", 0o444, 3, 4, strings.Repeat("0123456789abcdef", 1<<17)},
	{"dir", os.ModeDir | 0o750, 5, 6, ""},
	{"dir/sub", os.ModeDir | 0o711 | os.ModeSticky, 7, 8, ""},
	{"dir/sub/a b+c%41&d", 0o664, 9, 10, "odd"},
	{"dir/grüße 世界", 0o604, 11, 12, "unicode"},
	{"vide", os.ModeDir | 0o700, 13, 14, ""},
	{"link", os.ModeSymlink, 15, 16, "dir/sub/a b+c%41&d"},
	{"dangling", os.ModeSymlink, 0, 0, "../nowhere/grüße"},
}

// changedTree is wholeTree after changeTree.
var changedTree = []treeFile{
	{"file", 0o400, 21, 22, "content"},
	{"empty", 0o600, 1, 2, "no more"},
	{"setuid", 0o755 | os.ModeSetuid, 0, 0, "#!/bin/sh\n"},
	{"moved", os.ModeDir | 0o705, 5, 6, ""},
	{"moved/sub", os.ModeDir | 0o711 | os.ModeSticky, 7, 8, ""},
	{"moved/sub/a b+c%41&d", 0o664, 9, 10, "odd"},
	{"moved/large", 0o444, 3, 4, strings.Repeat("0123456789abcdef", 1<<17)},
	{"link", os.ModeSymlink, 15, 16, "moved"},
	{"dangling", os.ModeSymlink, 0, 0, "../nowhere/grüße"},
}

// treeTime is the time of a file of the tree: each has its own, nanoseconds are in every
// second one.
func treeTime(i int) time.Time {
	return stamp.Add(time.Duration(i) * time.Hour).Truncate(time.Second).Add(time.Duration(i%2) * 123456789)
}

func writeTree(dir string) error {
	for _, f := range wholeTree {
		if err := f.write(filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	// Deeper ones first, as each changes its directory.
	for i, f := range slices.Backward(wholeTree) {
		if err := setTime(filepath.Join(dir, f.name), treeTime(i)); err != nil {
			return err
		}
	}
	return nil
}

func (f treeFile) write(path string) error {
	var err error
	switch {
	case f.mode&os.ModeSymlink != 0:
		err = os.Symlink(f.content, path)
	case f.mode.IsDir():
		err = os.Mkdir(path, 0o700)
	default:
		err = os.WriteFile(path, []byte(f.content), 0o600)
	}
	if err = errors.Join(err, os.Lchown(path, f.uid, f.gid)); err == nil && f.mode&os.ModeSymlink == 0 {
		err = os.Chmod(path, f.mode)
	}
	return err
}

// setTime sets the times of a file or of a symlink itself.
func setTime(path string, to time.Time) error {
	ts := unix.NsecToTimespec(to.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func checkTree(dir string) error {
	var errs []error
	for i, f := range wholeTree {
		path := filepath.Join(dir, f.name)
		errs = append(errs, f.check(path))
		if info, err := os.Lstat(path); err == nil && !info.ModTime().Equal(treeTime(i)) {
			errs = append(errs, fmt.Errorf("%s: time %v, want %v", f.name, info.ModTime().UTC(), treeTime(i)))
		}
	}
	return errors.Join(append(errs, checkNames(dir, wholeTree))...)
}

func (f treeFile) check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	mode := info.Mode()
	if f.mode&os.ModeSymlink != 0 {
		mode = mode.Type()
	}
	st := info.Sys().(*syscall.Stat_t)
	if mode != f.mode || st.Uid != uint32(f.uid) || st.Gid != uint32(f.gid) {
		err = fmt.Errorf("%s: %v of %d:%d, want %v of %d:%d", f.name, mode, st.Uid, st.Gid, f.mode, f.uid, f.gid)
	}
	got, readErr := []byte(nil), error(nil)
	switch {
	case f.mode&os.ModeSymlink != 0:
		var target string
		target, readErr = os.Readlink(path)
		got = []byte(target)
	case !f.mode.IsDir():
		got, readErr = os.ReadFile(path)
	}
	if readErr == nil && !bytes.Equal(got, []byte(f.content)) {
		readErr = fmt.Errorf("%s: has %.40q (%d bytes), want %.40q", f.name, got, len(got), f.content)
	}
	return errors.Join(err, readErr)
}

// checkNames compares what is there with what should be, so that nothing is too much.
func checkNames(dir string, want []treeFile) error {
	var got []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if name, _ := filepath.Rel(dir, path); name != "." {
			got = append(got, name)
		}
		return err
	})
	var names []string
	for _, f := range want {
		names = append(names, f.name)
	}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		err = errors.Join(err, fmt.Errorf("names are %q", got))
	}
	return err
}

// changeTree makes changedTree of wholeTree.
func changeTree(dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		os.Chmod(path("file"), 0o400),
		os.Chown(path("file"), 21, 22),
		os.WriteFile(path("empty"), []byte("no more"), 0o600),
		os.Remove(path("dir/grüße 世界")),
		os.Rename(path("dir"), path("moved")),
		os.Rename(path("large"), path("moved/large")),
		os.Chmod(path("moved"), 0o705),
		os.Remove(path("vide")),
		os.Remove(path("link")),
		os.Symlink("moved", path("link")),
		os.Lchown(path("link"), 15, 16),
		setTime(path("file"), stamp))
}

func checkChangedTree(dir string) error {
	var errs []error
	for _, f := range changedTree {
		errs = append(errs, f.check(filepath.Join(dir, f.name)))
	}
	if info, err := os.Lstat(filepath.Join(dir, "file")); err == nil && !info.ModTime().Equal(stamp) {
		errs = append(errs, fmt.Errorf("file: time %v, want %v", info.ModTime().UTC(), stamp))
	}
	return errors.Join(append(errs, checkNames(dir, changedTree))...)
}

// seeChangedTree waits for changes of another client: a listing is believed for a while,
// also after a mount.
func seeChangedTree(dir string) error {
	return await("the changes", func() error { return checkChangedTree(dir) })
}

// requireS3FS skips the test where Debian's s3fs is missing. Where OBJVOL_REQUIRE, a list
// with commas, has "s3fs", it fails instead.
func requireS3FS(t *testing.T) {
	t.Helper()
	mounttest.Require(t)
	_, err := exec.LookPath("s3fs")
	switch {
	case err == nil:
	case slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), "s3fs"):
		t.Fatal("no s3fs; get it with: apt-get install -y s3fs")
	default:
		t.Skip("no s3fs; get it with: apt-get install -y s3fs")
	}
}

// withS3FS mounts a prefix of a bucket with s3fs, runs cases in children and unmounts it.
func withS3FS(t *testing.T, s objstoretest.Server, bucket, prefix string, cases ...string) {
	t.Helper()
	dir, keys := mounttest.Dir(t), filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(s.AccessKey+":"+s.SecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &output{}
	cmd := exec.Command("s3fs", bucket+":/"+prefix, dir, "-f",
		"-o", "use_xattr,url="+s.Endpoint+",use_path_request_style,endpoint=us-east-1,passwd_file="+keys)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // it ends with its mount
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("s3fs: %s", said)
		}
	})
	leaveNothing(t, dir)
	eventually(t, "s3fs is mounted", func() bool {
		select {
		case <-exited:
			t.Fatalf("s3fs ended: %s", said)
		default:
		}
		return mounttest.Mounted(t, dir)
	})
	for _, name := range cases {
		mounttest.Run(t, dir, name)
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exited:
	case <-time.After(deadline):
		t.Fatal("s3fs does not end after umount")
	}
}

// withObjvol mounts a volume, runs cases in children, unmounts it and closes everything.
func withObjvol(t *testing.T, state string, spec driver.Spec, cases ...string) {
	t.Helper()
	dir, m := mounttest.Dir(t), testMounter(t, state, "")
	l := mustMount(t, m, spec, dir)
	for _, name := range cases {
		mounttest.Run(t, dir, name)
	}
	mustUnmount(t, l)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// A bucket of s3fs is a volume as it is: mode, owner, times and symlinks are there, and
// what objvol changes is seen by s3fs.
func TestVolumeMadeByS3FS(t *testing.T) {
	requireS3FS(t)
	s := objstoretest.MinIO(t)
	put(t, s, "shared", nil)
	spec := specOn(t, s, "vol", map[string]string{"bucket": "shared"})
	withS3FS(t, s, "shared", "vol", "write tree", "check tree")
	withObjvol(t, t.TempDir(), spec, "check tree", "change tree", "check changed tree")
	withS3FS(t, s, "shared", "vol", "check changed tree")
	withObjvol(t, t.TempDir(), spec, "check changed tree")
}

// A volume of objvol is a bucket for s3fs as it is, and what s3fs changes is seen by
// objvol, whether it knew the volume before or not.
func TestVolumeOpenedByS3FS(t *testing.T) {
	requireS3FS(t)
	s, state := objstoretest.MinIO(t), t.TempDir()
	spec := specOn(t, s, "vol", map[string]string{"bucket": "shared", "ttl": "1s"})
	withObjvol(t, state, spec, "write tree", "check tree")
	withS3FS(t, s, "shared", "vol", "check tree", "change tree", "check changed tree")
	withObjvol(t, state, spec, "see changed tree")
	withObjvol(t, t.TempDir(), spec, "check changed tree")
}
