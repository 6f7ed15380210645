package index

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS is the file system below Pebble. It changes what happens to the write-ahead logs
// (hard-cases 3):
//
//   - syncing the current one does nothing: Pebble then answers a commit when it was
//     written;
//   - closing one syncs it for real: this happens before the next is created.
//
// What a process that was killed left in its last log needs no sync: Pebble writes it to
// synced tables before it begins a log of its own.
//
// It also syncs the directory before a file is made whose name points to another one, so
// that after a power cut the one is not there without the other.
//
// An error on a log, or of syncing a directory, never gets to Pebble, which would panic with
// its locks in disarray: the index fails, and the goroutine stays where it is. After an
// error on another file Pebble tries again at once, for as long as the disk is full: it is
// told of the error a little later.
type walFS struct {
	vfs.FS
	failure *failure

	mu      sync.Mutex
	current *walFile // nil before the first log and between two
}

// retryAfter is how long an error is held back that is followed by a retry.
const retryAfter = time.Second

func isWAL(name string) bool { return strings.HasSuffix(name, ".log") }

// isMarker tells whether a file's name points to another file.
func isMarker(base string) bool { return strings.HasPrefix(base, "marker.") }

// Create creates a file; see vfs.FS.
func (fs *walFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if isMarker(fs.PathBase(name)) {
		if err := fs.syncDir(fs.PathDir(name)); err != nil {
			return nil, err
		}
	}
	f, err := fs.FS.Create(name, category)
	return fs.begin(name, f, err)
}

// ReuseForWrite makes a new file of an old one; see vfs.FS.
func (fs *walFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.begin(newname, f, err)
}

// begin makes a new log the current one, and wraps any other file that is written.
func (fs *walFS) begin(name string, f vfs.File, err error) (vfs.File, error) {
	if !isWAL(name) {
		if err != nil {
			time.Sleep(retryAfter)
			return nil, err
		}
		return pacedFile{f}, nil
	}
	if err != nil {
		fs.failure.park(fmt.Errorf("new log: %w", err))
	}
	w := &walFile{File: f, fs: fs}
	fs.mu.Lock()
	fs.current = w
	fs.mu.Unlock()
	return w, nil
}

// syncDir makes the names in a directory survive a power cut.
func (fs *walFS) syncDir(name string) error {
	d, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// OpenDir opens a directory for syncing; see vfs.FS.
func (fs *walFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return dirFile{f, fs.failure}, nil
}

// Unwrap returns the file system below.
func (fs *walFS) Unwrap() vfs.FS { return fs.FS }

// sync makes all that was written to logs so far survive a power cut. Of the logs before
// the current one this was done when they were closed, and of the current one perhaps by who
// came before, or is still at it. Its error is the failure of the index.
func (fs *walFS) sync() {
	fs.mu.Lock()
	w := fs.current
	fs.mu.Unlock()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || !w.written.Swap(false) {
		return
	}
	if err := w.File.SyncData(); err != nil {
		fs.failure.set(err) // before anybody takes it for synced
	}
}

// walFile is a log that is being written.
type walFile struct {
	vfs.File
	fs *walFS

	// written: something was since the last sync began.
	written atomic.Bool

	mu     sync.Mutex // held over a sync, so that the file is not closed under it
	closed bool
}

func (w *walFile) Write(p []byte) (int, error) {
	n, err := w.File.Write(p)
	w.written.Store(true)
	if err != nil {
		w.fs.failure.park(fmt.Errorf("write to log: %w", err))
	}
	return n, nil
}

func (w *walFile) Sync() error                { return nil }
func (w *walFile) SyncData() error            { return nil }
func (w *walFile) SyncTo(int64) (bool, error) { return false, nil }

func (w *walFile) Close() error {
	if err := w.end(); err != nil {
		w.fs.failure.park(fmt.Errorf("end of log: %w", err))
	}
	return nil
}

// end syncs and closes the file. Until it is synced it stays the current one, so that a
// sync of the index waits for it.
func (w *walFile) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.File.SyncData()
	w.closed = true
	if cerr := w.File.Close(); err == nil {
		err = cerr
	}
	w.fs.mu.Lock()
	w.fs.current = nil
	w.fs.mu.Unlock()
	return err
}

// dirFile is a directory that is open to be synced.
type dirFile struct {
	vfs.File
	failure *failure
}

func (d dirFile) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.failure.park(fmt.Errorf("sync directory: %w", err))
	}
	return nil
}

// pacedFile is a file that is written and is no log.
type pacedFile struct {
	vfs.File
}

func (f pacedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		time.Sleep(retryAfter)
	}
	return n, err
}
