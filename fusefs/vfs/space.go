package vfs

import (
	"objvol/fusefs/index"
)

// roomGrain is how far a file grows, in bytes, between two looks at the local disk.
const roomGrain = 16 << 20

// room refuses a write that would use up the disk's reserve. It looks when a file
// crosses a multiple of roomGrain, and at its first byte.
func (fs *FS) room(n index.Inode, end int64) error {
	if end <= n.Size || n.Size > 0 && n.Size/roomGrain == end/roomGrain {
		return nil
	}
	free, _, err := fs.Cache.Free(fs.Reserve)
	if err != nil {
		return err
	}
	if free < end-n.Size {
		fs.wakeEvictor()
		return ErrNoSpace
	}
	return nil
}

// account tells the ledger what an inode takes on the disk, and wakes the evictor when
// it is too much.
func (fs *FS) account(n index.Inode, c index.Content) {
	fs.ledger.Set(uint64(n.Ino), c.Resident.Size(), isClean(n))
	if fs.ledger.Total() > fs.CacheSize {
		fs.wakeEvictor()
	}
}

func (fs *FS) wakeEvictor() {
	select {
	case fs.evict <- struct{}{}:
	default:
	}
}

// evictor keeps clean content within CacheSize.
func (fs *FS) evictor() {
	for {
		select {
		case <-fs.ctx.Done():
			return
		case <-fs.evict:
		}
		for _, ino := range fs.ledger.Victims(fs.CacheSize) {
			if err := fs.evictOne(Ino(ino)); err != nil {
				fs.Log.Warn("content was not evicted", "inode", ino, "error", err)
			}
		}
	}
}

// evictOne gives up an inode's local content if the bucket has it. Readers who began
// before read the old file to their end; it is never cleared under them.
func (fs *FS) evictOne(ino Ino) error {
	var file uint64
	err := fs.Index.Update(func(tx *index.Tx) error {
		n, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		c, err := tx.Content(ino)
		if err != nil {
			return err
		}
		if n.Nlink == 0 || !isClean(n) || n.Sending != "" || c.BaseLen < n.Size {
			fs.ledger.Set(uint64(ino), c.Resident.Size(), false)
			return nil
		}
		file, err = dropContent(tx, n)
		return err
	})
	if err != nil || file == 0 {
		return notExist(err)
	}
	return fs.discard(ino, file)
}

// discard removes a content file that the index does not name any more. The caller does
// not hold the node's lock.
func (fs *FS) discard(ino Ino, file uint64) error {
	fs.ledger.Remove(uint64(ino))
	if file == 0 {
		return nil
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	// Who found the file in the index before it was taken out still reads it to the end.
	nd.mu.Lock()
	defer nd.mu.Unlock()
	nd.closeFile()
	return fs.Cache.Remove(uint64(ino), file)
}

// discarded is discard where nobody can be told of an error: the file is swept at the
// next start.
func (fs *FS) discarded(ino Ino, file uint64) {
	if err := fs.discard(ino, file); err != nil {
		fs.Log.Warn("a content file stays until the next start", "inode", uint64(ino), "error", err)
	}
}
