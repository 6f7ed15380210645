package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// smallDisk is a small ext4 of its own, on which files can be passed to the kernel.
func smallDisk(t *testing.T) string {
	t.Helper()
	mounttest.Require(t)
	requireProgram(t, "mkfs.ext4", "e2fsprogs")
	image, dir := filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 900<<20), os.Mkdir(dir, 0o711)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if said, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, said)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// freeOn is how many bytes a disk has left.
func freeOn(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// The files with which the writer of a volume below <disk>/state/mnt/<volume> and its test
// tell each other how far they are, beside the state.
const (
	writerOpened = "opened"
	diskIsTight  = "tight"
)

// beside is a path on the disk of a volume's state.
func beside(dir, name string) string { return filepath.Join(dir, "../../..", name) }

// unfilled is the size of the file before the disk is full, in bytes: enough to be passed to
// the kernel.
const unfilled = 4 << 20

// fillDisk opens a file that the kernel is given, writes until the disk is full, and goes on
// when there is space again. Its content tells its offset, by the MiB.
func fillDisk(dir string) (err error) {
	path := filepath.Join(dir, "filling")
	if err := os.WriteFile(path, make([]byte, unfilled), 0o600); err != nil {
		return err
	}
	if err := syncFile(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.WriteFile(beside(dir, writerOpened), nil, 0o600); err != nil {
		return err
	}
	if err := poll(func() bool { _, err := os.Stat(beside(dir, diskIsTight)); return err == nil }); err != nil {
		return err
	}
	at := int64(unfilled)
	write := func() error {
		n, err := f.WriteAt(bytes.Repeat([]byte{byte(at >> 20)}, 1<<20), at)
		if n < 1<<20 && err == nil {
			err = fmt.Errorf("%d bytes were written", n)
		}
		return err
	}
	for ; err == nil; at += 1 << 20 {
		if err = write(); err == nil && at > 900<<20 {
			return fmt.Errorf("%d bytes are written to a smaller disk", at)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("a full disk: %w", err)
	}
	if err := os.Remove(beside(dir, diskIsTight)); err != nil {
		return err
	}
	at -= 1 << 20
	if err := poll(func() bool { err = write(); return !errors.Is(err, syscall.ENOSPC) }); err != nil {
		return err
	}
	return err
}

// poll waits until something holds.
func poll(holds func() bool) error {
	for end := time.Now().Add(deadline); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("not in time")
		}
	}
	return nil
}

// checkFilled reads what fillDisk wrote.
func checkFilled(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "filling"))
	if err != nil {
		return err
	}
	if len(data) <= unfilled || len(data)%(1<<20) != 0 {
		return fmt.Errorf("%d bytes", len(data))
	}
	for at := unfilled; at < len(data); at += 1 << 20 {
		if !bytes.Equal(data[at:at+1<<20], bytes.Repeat([]byte{byte(at >> 20)}, 1<<20)) {
			return fmt.Errorf("other bytes at %d", at)
		}
	}
	return nil
}

// goOn is what a volume still does on a full disk: everything but take more of it.
func goOn(dir string) error {
	if err := checkLocal(dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "local"), filepath.Join(dir, "other")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "local")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), make([]byte, 1<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "new")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return checkLocal(dir)
}

func checkLocal(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "local"))
	if err == nil && string(data) != "local" {
		err = fmt.Errorf("read %q", data)
	}
	return err
}

// A disk that the kernel filled for a program of one volume, behind our back, is that
// program's trouble: another volume goes on, and so does the program when there is space
// (hard-cases 11).
func TestFullDiskOfPassedFile(t *testing.T) {
	s := objstoretest.MinIO(t)
	disk := smallDisk(t)
	d := startServe(t, s, filepath.Join(disk, "state"))
	at := map[string]string{}
	for _, name := range []string{"a", "b"} {
		at[name] = filepath.Join(d.state, "mnt", name)
		leaveNothing(t, at[name])
		d.must("VolumeDriver.Create", `{"Name":"`+name+`"}`)
		d.must("VolumeDriver.Mount", `{"Name":"`+name+`","ID":"x"}`)
	}
	mounttest.Run(t, at["b"], "write local")
	filled := mounttest.Start(t, at["a"], "fill disk", 0)
	eventually(t, "the writer has its file open", func() bool { _, err := os.Stat(filepath.Join(disk, writerOpened)); return err == nil })

	// Somebody else takes all but a little, so that it need not all be written.
	others, err := os.Create(filepath.Join(disk, "others"))
	if err != nil {
		t.Fatal(err)
	}
	const left = 24 << 20
	err = errors.Join(unix.Fallocate(int(others.Fd()), 0, 0, freeOn(t, disk)-left), others.Close(),
		os.WriteFile(filepath.Join(disk, diskIsTight), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	// The driver would have left its reserve: the kernel wrote itself.
	eventually(t, "the disk is full", func() bool { return freeOn(t, disk) < 1<<20 })
	eventually(t, "the writer has heard of it", func() bool {
		_, err := os.Stat(filepath.Join(disk, diskIsTight))
		return errors.Is(err, os.ErrNotExist)
	})
	mounttest.Run(t, at["b"], "go on")
	d.must("VolumeDriver.List", "{}")

	if err := os.Remove(others.Name()); err != nil {
		t.Fatal(err)
	}
	filled()
	mounttest.Run(t, at["a"], "check filled")
	mounttest.Run(t, at["b"], "write more")
	mounttest.Run(t, at["b"], "check more")
	for name := range at {
		d.must("VolumeDriver.Unmount", `{"Name":"`+name+`","ID":"x"}`)
	}
	wantObject(t, s, "objvol/b/local", []byte("local"))
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
