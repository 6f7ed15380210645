package cache

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// File is an open content file. Its methods may be called from many goroutines, Close
// among them: a call that comes after Close fails with fs.ErrClosed.
type File struct {
	f     *os.File
	named atomic.Bool // Sync has made the file's name durable
}

// Stat is what the disk knows of a content file.
type Stat struct {
	Size      int64 // bytes
	Allocated int64 // bytes on the disk; holes take none
	Mtime     time.Time
	Ctime     time.Time
}

// ReadAt reads as io.ReaderAt says; holes are zeros.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// WriteAt writes as io.WriterAt says, beyond the end too. Errors: ErrNoSpace, where the
// returned number of bytes has been written nevertheless: the standard library's WriteAt
// would not tell.
func (f *File) WriteAt(p []byte, off int64) (written int, err error) {
	for written < len(p) && err == nil {
		err = f.control("pwrite", func(fd int) error {
			n, err := unix.Pwrite(fd, p[written:], off+int64(written))
			if n == 0 && err == nil {
				err = io.ErrShortWrite
			}
			written += max(n, 0)
			return err
		})
	}
	return written, noSpace(err)
}

// Truncate sets the size. What it adds is a hole.
func (f *File) Truncate(size int64) error { return noSpace(f.f.Truncate(size)) }

// Punch makes a hole of n bytes and leaves the size as it is. Not every file system can:
// errors.ErrUnsupported then.
func (f *File) Punch(off, n int64) error {
	if n <= 0 {
		return nil
	}
	return noSpace(f.control("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	}))
}

// Allocate reserves space for n bytes, and lengthens the file if it ends before them. Not
// every file system can: errors.ErrUnsupported then.
func (f *File) Allocate(off, n int64) error {
	return noSpace(f.control("fallocate", func(fd int) error { return unix.Fallocate(fd, 0, off, n) }))
}

// Find returns the first offset at or behind off with data, or with none: the file's end
// at the latest. Errors: unix.ENXIO when off, or all data, lies before it.
func (f *File) Find(off int64, data bool) (int64, error) {
	if data {
		return f.seek(off, unix.SEEK_DATA)
	}
	return f.seek(off, unix.SEEK_HOLE)
}

// Sync returns when content and size are on the disk, and the file's name with the first
// Sync of each File.
func (f *File) Sync() error {
	if err := f.control("fdatasync", unix.Fdatasync); err != nil {
		return noSpace(err)
	}
	if f.named.Load() {
		return nil
	}
	shard := filepath.Dir(f.f.Name())
	for _, dir := range []string{shard, filepath.Dir(shard)} {
		if err := syncDir(dir); err != nil {
			return noSpace(err)
		}
	}
	f.named.Store(true)
	return nil
}

// Stat asks the disk.
func (f *File) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := f.control("fstat", func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return Stat{}, err
	}
	return Stat{
		Size:      st.Size,
		Allocated: st.Blocks * 512,
		Mtime:     time.Unix(st.Mtim.Unix()),
		Ctime:     time.Unix(st.Ctim.Unix()),
	}, nil
}

// Fd returns the descriptor, which is valid until Close.
func (f *File) Fd() uintptr { return f.f.Fd() }

// Close closes the descriptor. The content stays.
func (f *File) Close() error { return f.f.Close() }

// control runs a system call on the descriptor, which cannot be closed meanwhile.
func (f *File) control(op string, call func(fd int) error) error { return control(f.f, op, call) }

func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	// Control itself fails for one reason, with an error of an internal package.
	if conn.Control(func(fd uintptr) {
		failed = again(func() error { return call(int(fd)) })
	}) != nil {
		failed = fs.ErrClosed
	}
	if failed != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() {
		if closed := d.Close(); err == nil {
			err = closed
		}
	}()
	return d.Sync()
}
