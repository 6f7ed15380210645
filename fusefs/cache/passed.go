package cache

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A content file can be given to the kernel, for programs to read and write it without
// asking us. What they did is found by its times, and who still has it by leases
// (hard-cases 1).

// OpenRead opens a content file for reading alone: who asks for leases must not count as
// a writer himself, nor leave an access time that looks like a program's. Errors:
// fs.ErrNotExist.
func (c *Cache) OpenRead(ino, gen uint64) (*File, error) {
	f, err := os.OpenFile(c.path(ino, gen), os.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

// Marked is the modification time that Mark sets: no clock gives it to a write.
var Marked = time.Unix(1, 0)

// Mark sets the modification time to Marked, once every write(2) under way has ended: the
// kernel changes times and content under one lock. Whatever is written later, however soon,
// shows by another time. Stores through a mapping show once Clean was called after Mark.
func (f *File) Mark() error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: Marked.Unix()}}
	return f.control("utimensat", func(fd int) error {
		return unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH)
	})
}

// Unread sets the access time to Marked, so that the next read by others shows: file systems
// leave one that is recent as it is (relatime).
func (f *File) Unread() error {
	times := []unix.Timespec{{Sec: Marked.Unix()}, {Nsec: unix.UTIME_OMIT}}
	return f.control("utimensat", func(fd int) error {
		return unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH)
	})
}

// Clean writes what is dirty to the disk, without waiting for the disk's own cache: the next
// store through a mapping sets the modification time again.
func (f *File) Clean() error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return noSpace(f.control("sync_file_range", func(fd int) error { return unix.SyncFileRange(fd, 0, 0, all) }))
}

// Unwritten reports whether nobody has the file open, or mapped, for writing. The File must
// be of OpenRead. Not every file system can tell: its error says so.
func (f *File) Unwritten() (bool, error) { return f.lease(unix.F_RDLCK) }

// Unused reports whether nobody else has the file open or mapped at all. The File must be
// of OpenRead.
func (f *File) Unused() (bool, error) { return f.lease(unix.F_WRLCK) }

// lease takes a lease and gives it back. Nobody opens a content file but through us, so
// that nobody is made to wait meanwhile.
func (f *File) lease(kind int) (bool, error) {
	err := f.control("lease", func(fd int) error {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind); err != nil {
			return err
		}
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	return err == nil, err
}

// errBlind is a file system on which content files cannot be given to the kernel.
var errBlind = errors.New("the file system of the cache does not tell what was done to a file")

// CanPass tries with a file without a name whether this file system shows what others do to
// a file: Mark, Clean and the leases are of use then. tmpfs, for one, does not see stores
// through a mapping.
func (c *Cache) CanPass() (err error) {
	w, err := os.OpenFile(c.dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	if err != nil {
		return errors.Join(err, w.Close())
	}
	f := newFile(r)
	defer func() { err = errors.Join(err, f.Close()) }()
	size := os.Getpagesize()
	if err := w.Truncate(int64(size)); err != nil {
		return errors.Join(err, w.Close())
	}
	mapped, err := unix.Mmap(int(w.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	seen := func(i int) error {
		if err := errors.Join(f.Mark(), f.Clean()); err != nil {
			return err
		}
		mapped[i] = 1
		st, err := f.Stat()
		if err == nil && st.Mtime.Equal(Marked) {
			err = errBlind
		}
		return err
	}
	err = errors.Join(seen(0), seen(1), f.isUnwritten(false), unix.Munmap(mapped))
	return errors.Join(err, f.isUnwritten(true))
}

func (f *File) isUnwritten(want bool) error {
	got, err := f.Unwritten()
	if err == nil && got != want {
		err = errBlind
	}
	return err
}

// Fallocate is fallocate(2) with a mode of the kernel's. Not every file system can:
// errors.ErrUnsupported then.
func (f *File) Fallocate(mode uint32, off, n int64) error {
	return noSpace(f.control("fallocate", func(fd int) error { return unix.Fallocate(fd, mode, off, n) }))
}
