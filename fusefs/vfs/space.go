package vfs

import (
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
)

// roomGrain is how much a file takes, in bytes, between two looks at the local disk.
const roomGrain = 16 << 20

// room refuses a write that would use up the disk's reserve. It looks at the first bytes
// that an open file takes, and then whenever it took another roomGrain: holes that are
// skipped take none, those that are filled do. The caller holds nd.mu.
func (fs *FS) room(nd *node, c index.Content, off, n int64) error {
	n = missing(c, off, n)
	if n == 0 {
		return nil
	}
	if nd.granted -= n; nd.granted >= 0 {
		return nil
	}
	nd.granted = 0
	err := fs.free(n)
	if err == nil {
		nd.granted = roomGrain
	}
	return err
}

// free refuses to take n bytes of the local disk that would use up its reserve.
func (fs *FS) free(n int64) error {
	if n == 0 {
		return nil
	}
	free, _, err := fs.Cache.Free(fs.Reserve)
	if err == nil && free < n {
		fs.wakeEvictor()
		return ErrNoSpace
	}
	return err
}

// missing is how many bytes of a range the content file does not hold.
func missing(c index.Content, off, n int64) int64 {
	var sum int64
	for _, m := range c.Resident.Missing(off, n) {
		sum += m.Len()
	}
	return sum
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

const (
	// reclaimEvery is how often the space of small contents that were removed is given
	// back, unless they are fewer than reclaimLeast and there is space.
	reclaimEvery = 10 * time.Second
	reclaimLeast = 256
)

// heldMost is how many bytes the cache may be too large by for those who wait for a content. It
// is that content alone which counts: what else is there may have to stay, and be more than the
// cache, because the bucket does not have it yet or because a program uses it.
const heldMost = 32 << 20

// hold lets a file's content stay until the function returned is called: for who fetches
// it to read it, and would find it gone again where the cache is smaller than the file.
func (fs *FS) hold(nd *node) (release func()) {
	nd.held.Add(1)
	return func() {
		if nd.held.Add(-1) == 0 && fs.ledger.Total() > fs.CacheSize {
			fs.wakeEvictor()
		}
	}
}

func (fs *FS) isHeld(ino Ino) bool {
	nd := fs.peek(ino)
	if nd == nil || nd.held.Load() == 0 {
		return false
	}
	own, others := fs.ledger.Share(uint64(ino))
	return own <= max(0, fs.CacheSize-others)+heldMost
}

// evictor keeps clean content within CacheSize, or a little above it.
func (fs *FS) evictor() {
	tick := time.NewTicker(reclaimEvery)
	defer tick.Stop()
	for {
		select {
		case <-fs.ctx.Done():
			return
		case <-tick.C:
		case <-fs.evict:
		}
		// What must stay for now moves to the end of the line, so that others come before it.
		tried := make(map[uint64]bool)
		for again := true; again && fs.ctx.Err() == nil; {
			again = false
			for _, ino := range fs.ledger.Victims(fs.CacheSize) {
				if tried[ino] || fs.isHeld(Ino(ino)) {
					continue
				}
				tried[ino], again = true, true
				fs.evictVictim(ino)
			}
		}
		fs.reclaim()
	}
}

// reclaim gives back the space of small contents that were removed, if it is worth it.
func (fs *FS) reclaim() {
	unused := fs.Cache.Unused()
	if unused == 0 || unused < reclaimLeast && fs.free(roomGrain) == nil {
		return
	}
	if err := fs.Cache.Reclaim(fs.Index.Sync); err != nil {
		fs.Log.Warn("space on the local disk was not given back", "error", err)
	}
}

func (fs *FS) evictVictim(ino uint64) {
	if err := fs.evictOne(Ino(ino)); err != nil {
		fs.Log.Warn("content was not evicted", "inode", ino, "error", err)
	}
}

// evictOne gives up an inode's local content if the bucket has it. Readers who began
// before read the old file to their end; it is never cleared under them.
func (fs *FS) evictOne(ino Ino) error {
	// Who evicts after another one finds the space free that the other gave up.
	fs.evicting.Lock()
	defer fs.evicting.Unlock()
	if fs.passedOf(ino) != nil {
		return notThere(fs.evictPassed(ino))
	}
	file, err := fs.giveUp(ino, false)
	if err != nil || file == 0 {
		return notExist(err)
	}
	return fs.discard(ino, file)
}

// giveUp takes an inode's local content from the index if the bucket has it, and returns the
// content file that is not needed any more. One that the kernel was given is left alone
// unless passed is set.
func (fs *FS) giveUp(ino Ino, passed bool) (file uint64, err error) {
	err = fs.Index.Update(func(tx *index.Tx) error {
		n, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		c, err := tx.Content(ino)
		if err != nil {
			return err
		}
		unsettled, err := writeback.Unsettled(tx, n)
		if err != nil {
			return err
		}
		if n.Nlink == 0 || !isClean(n) || unsettled || c.BaseLen < n.Size {
			fs.ledger.Set(uint64(ino), c.Resident.Size(), false)
			return nil
		}
		if !passed && fs.passedOf(ino) != nil {
			return nil
		}
		file, err = dropContent(tx, n)
		return err
	})
	return file, err
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
	return fs.discardLocked(nd, file)
}

// discardLocked is discard for who holds nd.mu.
func (fs *FS) discardLocked(nd *node, file uint64) error {
	fs.ledger.Remove(uint64(nd.ino))
	nd.closeFile()
	var err error
	if p := fs.passedOf(nd.ino); p != nil && p.file == file && nd.phase == nil {
		err = fs.forgetPassed(nd.ino)
	}
	return errors.Join(err, fs.Cache.Remove(uint64(nd.ino), file))
}

// discarded is discard where nobody can be told of an error: the file is swept at the
// next start.
func (fs *FS) discarded(ino Ino, file uint64) {
	if err := fs.discard(ino, file); err != nil {
		fs.Log.Warn("a content file stays until the next start", "inode", uint64(ino), "error", err)
	}
}
