package vfs

import (
	"context"
	"errors"
	"time"

	"objvol/fusefs/index"
)

// Who opens a directory that was never listed reads along with its listing: what a page
// brought is answered while the next one is on its way. The names get their cookies as they
// are entered, so that each comes behind all that were read. Only a directory of which the
// index had no name can be read so: all that is in it then is what this listing showed, or
// what was made since. For any other the whole listing is waited for, as it may show that
// names are gone.

// advance tells those who read along that names came.
func (f *flight) advance(fs *FS) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	close(f.came)
	f.came = make(chan struct{})
}

// next returns what is closed when names come that are not in the index yet, and whether
// none can come any more: the listing has ended, or there is none (f is nil).
func (f *flight) next(fs *FS) (came <-chan struct{}, over bool) {
	if f == nil {
		return nil, true
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	select {
	case <-f.done:
		return nil, true
	default:
		return f.came, false
	}
}

// wait waits until names came or the listing has ended.
func (f *flight) wait(ctx context.Context, came <-chan struct{}) error {
	select {
	case <-came:
	case <-f.done:
	case <-ctx.Done():
		return ErrInterrupted
	}
	return nil
}

// believed returns a directory with the freshness of the names that are read along: they are
// as young as the listing, and it was known before at the earliest that there are overflow
// names (long.go).
func (fs *FS) believed(dir index.Inode, f *flight) index.Inode {
	if f == nil || dir.Dir == nil || dir.Dir.Listed {
		return dir
	}
	dir.Dir = &index.Dir{Listed: true, ListedAt: f.began.Add(-fs.TTL / longShare), Took: time.Since(f.began)}
	return dir
}

// readable makes sure that a directory can be read. It returns the listing with which it
// is, nil where all of it is there.
func (fs *FS) readable(ctx context.Context, ino Ino) (*flight, error) {
	n, err := fs.Index.Inode(ino)
	if err != nil || n.Dir == nil || n.Dir.Listed {
		_, err = fs.fresh(ctx, ino)
		return nil, err
	}
	fs.peeks.entered(ino)
	f := fs.listing(ino, forNames)
	came, over := f.next(fs)
	if !over {
		if err := f.wait(ctx, came); err != nil {
			return nil, err
		}
	}
	if _, over := f.next(fs); over {
		return nil, f.err
	}
	return f, nil
}

// ended returns why names may be missing after a listing that was read along has ended. One
// that ended because the directory was moved is followed by another.
func (fs *FS) ended(ctx context.Context, ino Ino, f *flight) error {
	if f == nil || f.err == nil || errors.Is(f.err, ErrNotExist) {
		return nil // what was removed has no names
	}
	if !errors.Is(f.err, errMoved) {
		return f.err
	}
	_, err := fs.fresh(ctx, ino)
	return err
}
