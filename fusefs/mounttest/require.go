package mounttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Require skips the test where nothing can be mounted. Where OBJVOL_REQUIRE, a list with
// commas, has "fuse", it fails instead.
func Require(t *testing.T) {
	t.Helper()
	err := mountable()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), "fuse") {
		t.Fatal(err)
	}
	t.Skip(err)
}

func mountable() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("mounting needs root, this is uid %d", os.Geteuid())
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return &os.PathError{Op: "access", Path: "/dev/fuse", Err: err}
	}
	return nil
}

// Dir returns an empty directory to mount on, which users other than root can reach.
// Cleanups that are registered later, and so run earlier, unmount it: one that is still
// a mount then is detached, and fails the test.
func Dir(t *testing.T) string {
	t.Helper()
	Require(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for Mounted(t, dir) {
			t.Errorf("a mount was left on %s", dir)
			if err := abort(device(t, dir)); err != nil {
				t.Log(err) // it may be no FUSE mount
			}
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Fatalf("detach %s: %v", dir, err)
			}
		}
	})
	return dir
}

// Mounted reports whether something is mounted on dir, without asking what it is.
func Mounted(t *testing.T, dir string) bool {
	t.Helper()
	return device(t, dir) != device(t, filepath.Dir(dir))
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	dev, err := Device(path)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// Device returns a device number as the kernel knows it, without a request to the
// filesystem: none of its attributes are asked for.
func Device(path string) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return 0, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	return unix.Mkdev(st.Dev_major, st.Dev_minor), nil
}

// Abort ends the FUSE connection of the mount on dir. Who waits for it gets an error.
func Abort(dir string) error {
	dev, err := Device(dir)
	if err != nil {
		return err
	}
	return abort(dev)
}

// abort ends the FUSE connection behind a device number, through a control file system
// that is not attached anywhere.
func abort(dev uint64) error {
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("fsopen fusectl", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigCreate(fs); err != nil {
		return os.NewSyscallError("fsconfig fusectl", err)
	}
	control, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fsmount fusectl", err)
	}
	defer func() { _ = unix.Close(control) }()
	return os.WriteFile(fmt.Sprintf("/proc/self/fd/%d/%d/abort", control, unix.Minor(dev)), []byte("1"), 0o600)
}
