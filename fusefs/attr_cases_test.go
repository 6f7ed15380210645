package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func times(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	set := func(atime, mtime unix.Timespec) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
	}
	check := func(atime, mtime int64) error {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		if st.Atim.Nano() != atime || st.Mtim.Nano() != mtime {
			return fmt.Errorf("got %d and %d, want %d and %d", st.Atim.Nano(), st.Mtim.Nano(), atime, mtime)
		}
		return nil
	}
	omit := unix.Timespec{Nsec: unix.UTIME_OMIT}
	if err := must(
		set(unix.Timespec{Sec: 1_000_000_000, Nsec: 123_456_789}, unix.Timespec{Sec: 2_000_000_000, Nsec: 987_654_321}),
		check(1_000_000_000_123_456_789, 2_000_000_000_987_654_321),
		set(omit, unix.Timespec{Sec: -5, Nsec: 7}), // before 1970
		check(1_000_000_000_123_456_789, -5_000_000_000+7),
	); err != nil {
		return err
	}
	before := time.Now().Add(-time.Second) // the kernel's coarse clock is behind this one
	if err := set(omit, unix.Timespec{Nsec: unix.UTIME_NOW}); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.ModTime().Before(before) || info.ModTime().After(time.Now()) {
		return fmt.Errorf("now is %v", info.ModTime())
	}
	return nil
}

func statfs(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if st.Type != unix.FUSE_SUPER_MAGIC || st.Blocks == 0 || st.Bavail == 0 || st.Files == 0 || st.Bsize == 0 || st.Namelen != 255 {
		return fmt.Errorf("got %+v", st)
	}
	return nil
}

// refused is what a bucket does not hold yet.
func refused(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, ioctl := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return must(
		expect("ioctl", ioctl, syscall.ENOTTY),
		f.Close(), lists(dir, "f"),
	)
}

func setgidDirectory(dir string) error {
	d := filepath.Join(dir, "d")
	if err := must(
		os.Mkdir(d, 0o755), os.Chown(d, 0, 4711), unix.Chmod(d, 0o2775),
		os.WriteFile(filepath.Join(d, "f"), nil, 0o644), os.Mkdir(filepath.Join(d, "sub"), 0o755),
	); err != nil {
		return err
	}
	return must(has(d, 0o2775, 0, 4711), has(filepath.Join(d, "f"), 0o644, 0, 4711), has(filepath.Join(d, "sub"), 0o2755, 0, 4711))
}

// has compares permissions and owner.
func has(path string, mode, uid, gid uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if st.Mode&0o7777 != mode || st.Uid != uid || st.Gid != gid {
		return fmt.Errorf("%s: mode %o, owner %d:%d, want %o, %d:%d", path, st.Mode, st.Uid, st.Gid, mode, uid, gid)
	}
	return nil
}

// other is the user that is not root.
const other = 4711

func permissionsPrepare(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return must(
		os.WriteFile(at("secret"), nil, 0o600), os.WriteFile(at("public"), []byte("public"), 0o644),
		os.Mkdir(at("closed"), 0o700), os.WriteFile(at("closed/f"), nil, 0o666),
		os.Mkdir(at("sticky"), 0o755), unix.Chmod(at("sticky"), 0o1777), os.WriteFile(at("sticky/roots"), nil, 0o666), unix.Chmod(at("sticky/roots"), 0o666),
		os.Mkdir(at("theirs"), 0o700), os.Chown(at("theirs"), other, other),
	)
}

func permissionsOther(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	_, secret := os.ReadFile(at("secret"))
	_, closed := os.ReadFile(at("closed/f"))
	return must(
		expect("read a secret", secret, syscall.EACCES),
		expect("read below a closed directory", closed, syscall.EACCES),
		holds(at("public"), "public"),
		expect("write", os.WriteFile(at("public"), nil, 0o644), syscall.EACCES),
		expect("create", os.WriteFile(at("mine"), nil, 0o644), syscall.EACCES),
		expect("chmod", os.Chmod(at("public"), 0o666), syscall.EPERM),
		expect("chown", os.Chown(at("public"), other, other), syscall.EPERM),
		os.WriteFile(at("sticky/roots"), []byte("written"), 0o666),
		expect("remove another's file", os.Remove(at("sticky/roots")), syscall.EPERM),
		os.WriteFile(at("sticky/mine"), nil, 0o640), has(at("sticky/mine"), 0o640, other, other), os.Remove(at("sticky/mine")),
		os.Mkdir(at("theirs/d"), 0o711), has(at("theirs/d"), 0o711, other, other),
		os.Symlink("x", at("theirs/l")), has(at("theirs/l"), 0o777, other, other),
		expect("give away", os.Chown(at("theirs/d"), 0, 0), syscall.EPERM),
	)
}

var setuidFiles = []string{"allocated", "copied", "written", "truncated", "opened", "stays"}

func setuidPrepare(dir string) error {
	for _, name := range append(setuidFiles, "chowned", "chowned to nobody") {
		path := filepath.Join(dir, name)
		if err := must(os.WriteFile(path, []byte("#!"), 0o777), unix.Chmod(path, 0o6777), has(path, 0o6777, 0, 0)); err != nil {
			return err
		}
	}
	chowned, nobody, d := filepath.Join(dir, "chowned"), filepath.Join(dir, "chowned to nobody"), filepath.Join(dir, "d")
	f, err := os.OpenFile(filepath.Join(dir, "stays"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("root may") // CAP_FSETID
	return must(
		err, f.Close(), has(f.Name(), 0o6777, 0, 0),
		os.Chown(chowned, other, 0), has(chowned, 0o777, other, 0),
		os.Chown(nobody, -1, -1), has(nobody, 0o777, 0, 0),
		os.Mkdir(d, 0o755), unix.Chmod(d, 0o6755), os.Chown(d, other, other), has(d, 0o6755, other, other),
	)
}

func setuidOther(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "written"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	opened, err2 := os.OpenFile(filepath.Join(dir, "opened"), os.O_WRONLY|os.O_TRUNC, 0)
	if err := must(err, f.Close(), err2, opened.Close(), os.Truncate(filepath.Join(dir, "truncated"), 1)); err != nil {
		return err
	}
	f, err = os.OpenFile(filepath.Join(dir, "stays"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	allocated, err1 := os.OpenFile(filepath.Join(dir, "allocated"), os.O_WRONLY, 0)
	copied, err2 := os.OpenFile(filepath.Join(dir, "copied"), os.O_WRONLY, 0)
	if err := must(err1, err2, unix.Fallocate(int(allocated.Fd()), 0, 0, 10)); err != nil {
		return err
	}
	_, err = unix.CopyFileRange(int(f.Fd()), nil, int(copied.Fd()), nil, 2, 0)
	return must(err, f.Close(), allocated.Close(), copied.Close())
}

func setuidDropped(dir string) error {
	var errs []error
	for _, name := range setuidFiles {
		want := uint32(0o777)
		if name == "stays" {
			want = 0o6777
		}
		errs = append(errs, has(filepath.Join(dir, name), want, 0, 0))
	}
	return errors.Join(errs...)
}

func readOnly(dir string) error {
	return must(
		expect("create", os.WriteFile(filepath.Join(dir, "f"), nil, 0o644), syscall.EROFS),
		expect("mkdir", os.Mkdir(filepath.Join(dir, "d"), 0o755), syscall.EROFS),
		lists(dir),
	)
}
