package cache

import (
	"errors"
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
	named *atomic.Bool // Sync has made the file's name durable

	// Of a content in a shared file: where it begins there, how long it can become, and
	// what ends its use. The last is nil for others.
	at, room int64
	close    func()
	closed   atomic.Bool
}

func newFile(f *os.File) *File { return &File{f: f, named: new(atomic.Bool)} }

// isSmall reports whether the content lies in a shared file.
func (f *File) isSmall() bool { return f.close != nil }

// errBeyond is a bug of the caller: IsSmall contents end at SmallMost.
var errBeyond = errors.New("beyond the room of a content in a shared file")

// within checks that n bytes from off are this content's.
func (f *File) within(off, n int64) error {
	switch {
	case !f.isSmall():
		return nil
	case f.closed.Load():
		return f.failed("use", fs.ErrClosed)
	case off < 0 || n > f.room-off:
		return f.failed("use", errBeyond)
	}
	return nil
}

func (f *File) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.f.Name(), Err: err}
}

// Stat is what the disk knows of a content file.
type Stat struct {
	Size      int64 // bytes
	Allocated int64 // bytes on the disk; holes take none
	Atime     time.Time
	Mtime     time.Time
	Ctime     time.Time
}

// ReadAt reads as io.ReaderAt says; holes are zeros.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.within(0, 0); err != nil {
		return 0, err
	}
	if f.isSmall() && int64(len(p)) > f.room-off {
		n, err := f.f.ReadAt(p[:max(0, f.room-off)], f.at+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return f.f.ReadAt(p, f.at+off)
}

// WriteAt writes as io.WriterAt says, beyond the end too. Errors: ErrNoSpace, where the
// returned number of bytes has been written nevertheless: the standard library's WriteAt
// would not tell.
func (f *File) WriteAt(p []byte, off int64) (written int, err error) {
	if err := f.within(off, int64(len(p))); err != nil {
		return 0, err
	}
	for written < len(p) && err == nil {
		err = f.control("pwrite", func(fd int) error {
			n, err := unix.Pwrite(fd, p[written:], f.at+off+int64(written))
			if n == 0 && err == nil {
				err = io.ErrShortWrite
			}
			written += max(n, 0)
			return err
		})
	}
	return written, noSpace(err)
}

// Truncate sets the size. What it adds is a hole. A content in a shared file has no size: what
// it has behind that becomes a hole.
func (f *File) Truncate(size int64) error {
	if f.isSmall() {
		return f.Punch(size, f.room)
	}
	return noSpace(f.f.Truncate(size))
}

// Punch makes a hole of n bytes and leaves the size as it is. Not every file system can:
// errors.ErrUnsupported then.
func (f *File) Punch(off, n int64) error {
	if f.isSmall() {
		off = min(off, f.room) // a file can be longer than its content here: by a hole
		n = min(n, f.room-off)
	}
	if err := f.within(off, 0); err != nil {
		return err
	}
	if n <= 0 {
		return nil
	}
	return noSpace(f.control("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, f.at+off, n)
	}))
}

// Allocate reserves space for n bytes, and lengthens the file if it ends before them. Not
// every file system can: errors.ErrUnsupported then.
func (f *File) Allocate(off, n int64) error {
	if err := f.within(off, n); err != nil {
		return err
	}
	return noSpace(f.control("fallocate", func(fd int) error { return unix.Fallocate(fd, 0, f.at+off, n) }))
}

// Find returns the first offset at or behind off with data, or with none: the file's end
// at the latest. Errors: unix.ENXIO when off, or all data, lies before it.
func (f *File) Find(off int64, data bool) (int64, error) {
	if err := f.within(0, 0); err != nil {
		return 0, err
	}
	whence := unix.SEEK_HOLE
	if data {
		whence = unix.SEEK_DATA
	}
	if f.isSmall() && off >= f.room {
		return 0, f.failed("lseek", unix.ENXIO)
	}
	found, err := f.seek(f.at+off, whence)
	switch {
	case err != nil || !f.isSmall():
		return found, err
	case found-f.at < f.room:
		return found - f.at, nil
	case data:
		return 0, f.failed("lseek", unix.ENXIO)
	}
	return f.room, nil
}

// Sync returns when content and size are on the disk, and the file's name with the first
// Sync of each File. Contents that share a file are synced together.
func (f *File) Sync() error {
	if err := f.within(0, 0); err != nil {
		return err
	}
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

// Stat asks the disk, about the whole of a shared file.
func (f *File) Stat() (Stat, error) {
	if err := f.within(0, 0); err != nil {
		return Stat{}, err
	}
	var st unix.Stat_t
	if err := f.control("fstat", func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return Stat{}, err
	}
	return Stat{
		Size:      st.Size,
		Allocated: st.Blocks * 512,
		Atime:     time.Unix(st.Atim.Unix()),
		Mtime:     time.Unix(st.Mtim.Unix()),
		Ctime:     time.Unix(st.Ctim.Unix()),
	}, nil
}

// Fd returns the descriptor, which is valid until Close. A content in a shared file has
// none of its own: that of no file is returned.
func (f *File) Fd() uintptr {
	if f.isSmall() {
		return ^uintptr(0)
	}
	return f.f.Fd()
}

// Use returns what calls a function with the descriptor, which cannot be closed meanwhile.
// It is false of a content in a shared file, whose place may be another's as soon as it is
// closed.
func (f *File) Use() (use func(call func(fd int)) error, ok bool) {
	if f.isSmall() {
		return nil, false
	}
	return func(call func(fd int)) error {
		return f.control("use", func(fd int) error { call(fd); return nil })
	}, true
}

// Close closes the descriptor. The content stays.
func (f *File) Close() error {
	if !f.isSmall() {
		return f.f.Close()
	}
	if f.closed.Swap(true) {
		return f.failed("close", fs.ErrClosed)
	}
	f.close()
	return nil
}

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
