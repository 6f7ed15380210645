package vfs

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"objvol/fusefs/index"
)

// SeekData returns the first offset at or behind off of an open file that is not known to
// be in a hole. What only the bucket has is data (hard-cases 35).
// Errors: ErrNoData behind the last one.
func (fs *FS) SeekData(_ context.Context, fh uint64, off int64) (int64, error) {
	return fs.seek(fh, off, func(nd *node, n index.Inode, c index.Content) (int64, error) {
		for at := off; at < n.Size; {
			resident, end := c.Resident.Run(at)
			end = min(end, n.Size)
			if resident {
				if found := fs.seekLocal(nd, c, at, true); found < end {
					return found, nil
				}
			} else if absent := c.Absent(at, end-at); len(absent) > 0 {
				return absent[0].Off, nil
			}
			at = end
		}
		return 0, ErrNoData
	})
}

// SeekHole returns the first offset at or behind off of an open file that is in a hole;
// one begins at the file's end. Errors: ErrNoData at and behind that.
func (fs *FS) SeekHole(_ context.Context, fh uint64, off int64) (int64, error) {
	return fs.seek(fh, off, func(nd *node, n index.Inode, c index.Content) (int64, error) {
		for at := off; at < n.Size; {
			resident, end := c.Resident.Run(at)
			end = min(end, n.Size)
			if resident {
				if found := fs.seekLocal(nd, c, at, false); found < end {
					return found, nil
				}
			} else if zeros := c.Zeros(at, end-at); len(zeros) > 0 {
				return zeros[0].Off, nil
			}
			at = end
		}
		return n.Size, nil
	})
}

func (fs *FS) seek(fh uint64, off int64, find func(*node, index.Inode, index.Content) (int64, error)) (int64, error) {
	h, err := fs.handle(fh)
	if err != nil {
		return 0, err
	}
	if err := fs.catchUp(h.ino); err != nil {
		return 0, err
	}
	h.node.mu.RLock()
	defer h.node.mu.RUnlock()
	n, c, err := fs.content(h.ino)
	if err != nil {
		return 0, err
	}
	if off < 0 || off >= n.Size {
		return 0, ErrNoData
	}
	return find(h.node, n, c)
}

// seekLocal asks the local disk, which knows what was reserved and never written. It
// returns sizeMax when there is nothing of the kind. A disk that cannot tell has data
// everywhere.
func (fs *FS) seekLocal(nd *node, c index.Content, off int64, data bool) int64 {
	f, done, err := nd.open(fs.Cache, c.File)
	if err == nil {
		defer done()
		var found int64
		if found, err = f.Find(off, data); err == nil {
			return found
		}
	}
	if data && !errors.Is(err, unix.ENXIO) {
		return off
	}
	return sizeMax
}
