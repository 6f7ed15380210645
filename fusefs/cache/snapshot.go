package cache

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"objvol/fusefs/extent"
)

// Snapshot returns a private copy of the file as it is now, holes included, in a file
// without a name beside it. It shares the blocks where the file system can (xfs, btrfs),
// and is then a state that the file really had; elsewhere it is copied, and a writer must
// be kept away or noticed by comparing Stat before and after. The caller closes it.
// Errors: ErrNoSpace.
func (f *File) Snapshot() (*os.File, error) { return f.snapshot(f.copyTo) }

// SnapshotOf is Snapshot of ranges: of the copy nothing else is to be read.
func (f *File) SnapshotOf(ranges []extent.Range) (*os.File, error) {
	return f.snapshot(func(dst *os.File) error {
		if f.isSmall() {
			return f.copyTo(dst)
		}
		if f.clone(dst) == nil {
			return nil
		}
		for _, r := range ranges {
			if _, err := f.copyRange(dst, r.Off, r.Off, r.Len()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *File) snapshot(fill func(dst *os.File) error) (*os.File, error) {
	if err := f.within(0, 0); err != nil {
		return nil, err
	}
	dst, err := os.OpenFile(filepath.Dir(f.f.Name()), unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, noSpace(err)
	}
	if err := fill(dst); err != nil {
		return nil, errors.Join(noSpace(err), dst.Close())
	}
	return dst, nil
}

// copyTo fills an empty file.
func (f *File) copyTo(dst *os.File) error {
	if f.isSmall() {
		_, err := f.copyRange(dst, f.at, 0, f.room)
		return err
	}
	if f.clone(dst) == nil {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := dst.Truncate(st.Size); err != nil {
		return err
	}
	for end := int64(0); end < st.Size; {
		off, err := f.seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // holes to the end
		}
		if err != nil {
			return err
		}
		end, err = f.seek(off, unix.SEEK_HOLE)
		if errors.Is(err, unix.ENXIO) {
			return nil // truncated meanwhile
		}
		if err != nil {
			return err
		}
		end = min(end, st.Size)
		// Fewer bytes than there were: truncated meanwhile.
		if _, err := f.copyRange(dst, off, off, end-off); err != nil {
			return err
		}
	}
	return nil
}

// clone shares the blocks of the whole file. Its error is only a hint to copy them.
func (f *File) clone(dst *os.File) error {
	return control(dst, "ficlone", func(to int) error {
		return f.control("ficlone", func(from int) error { return unix.IoctlFileClone(to, from) })
	})
}

// seek finds data or a hole. The descriptor's position, which it moves, is nobody's.
func (f *File) seek(off int64, whence int) (found int64, err error) {
	err = f.control("lseek", func(fd int) (err error) {
		found, err = unix.Seek(fd, off, whence)
		return err
	})
	return found, err
}

// CopyRange copies n bytes to a place in another content file, or elsewhere in this one,
// sharing blocks where the file system can. Errors: ErrNoSpace, io.ErrUnexpectedEOF.
func (f *File) CopyRange(dst *File, off, to, n int64) error {
	if err := errors.Join(f.within(off, n), dst.within(to, n)); err != nil {
		return err
	}
	copied, err := f.copyRange(dst.f, f.at+off, dst.at+to, n)
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return noSpace(err)
}

// copyRange copies n bytes of the files as they are on the disk, or up to the end, inside the kernel where that
// works.
func (f *File) copyRange(dst *os.File, off, to, n int64) (done int64, err error) {
	for done < n {
		var copied int
		err := control(dst, "copy_file_range", func(toFD int) error {
			return f.control("copy_file_range", func(fromFD int) (err error) {
				src, dst := off+done, to+done
				copied, err = unix.CopyFileRange(fromFD, &src, toFD, &dst, int(min(n-done, 1<<30)), 0)
				return err
			})
		})
		switch {
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
			rest, err := io.Copy(io.NewOffsetWriter(dst, to+done), io.NewSectionReader(f.f, off+done, n-done))
			return done + rest, err
		case err != nil || copied == 0:
			return done, err
		}
		done += int64(copied)
	}
	return done, nil
}
