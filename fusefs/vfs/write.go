package vfs

import (
	"context"
	"errors"
	"math"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
)

// sizeMax is the largest file that S3 can hold, in bytes: 10,000 parts of 5 GiB.
const sizeMax = 10_000 * (5 << 30)

// Write writes to an open file, beyond its end too. Where the local disk is full it waits
// until the bucket has what could go.
func (fs *FS) Write(ctx context.Context, fh uint64, off int64, data []byte) (int, error) {
	return fs.writeBy(ctx, fh, off, data, false)
}

// Store is Write for pages that the kernel has because programs stored into a mapping. It may
// change data.
func (fs *FS) Store(ctx context.Context, fh uint64, off int64, data []byte) (int, error) {
	return fs.writeBy(ctx, fh, off, data, true)
}

func (fs *FS) writeBy(ctx context.Context, fh uint64, off int64, data []byte, stored bool) (int, error) {
	h, err := fs.handle(fh)
	if err != nil {
		return 0, err
	}
	if len(data) == 0 {
		return 0, nil
	}
	if off+int64(len(data)) > sizeMax {
		return 0, ErrTooBig
	}
	past := h.past && !stored
	if past {
		if err := fs.beforePast(ctx, h); err != nil {
			return 0, err
		}
	}
	written, err := fs.write(h.node, off, data, past, stored)
	for try := 0; errors.Is(err, ErrNoSpace) && try < roomTries; try++ {
		if err = fs.makeRoom(ctx, h.node, int64(len(data))); err == nil {
			written, err = fs.write(h.node, off, data, past, stored)
		}
	}
	if past && written > 0 {
		fs.afterPast(h.node, off, int64(written))
	}
	if err == nil && h.calls {
		err = fs.Fsync(ctx, fh, false)
	}
	return written, err
}

func (fs *FS) write(nd *node, off int64, data []byte, past, stored bool) (int, error) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if fs.isPassed(nd.ino) {
		written := 0
		err := fs.changePassed(nd, func(f *cache.File) error {
			if err := fs.free(int64(len(data))); err != nil {
				return err
			}
			var err error
			if written, err = f.WriteAt(data, off); written > 0 {
				return nil
			}
			return err
		})
		return written, err
	}
	n, c, err := fs.begun(nd, off, int64(len(data)))
	if err != nil {
		return 0, err
	}
	if err := fs.room(nd, c, off, int64(len(data))); err != nil {
		return 0, err
	}
	file := c.File
	if c, err = fs.localFile(nd, c, max(n.Size, off+int64(len(data)))); err != nil {
		return 0, err
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return 0, err
	}
	defer done()
	if stored {
		if err := nd.keepPast(f, n.Size, off, data); err != nil {
			return 0, err
		}
	}
	written, err := f.WriteAt(data, off)
	if written > 0 {
		if past {
			nd.beginPast(off, int64(written))
		}
		err := fs.wrote(nd, n, c, off, int64(written))
		fs.wroteOn(nd, off, int64(written))
		return written, err
	}
	if c.File != file {
		fs.leftFile(nd, c.File) // it is recorded nowhere
	}
	return 0, noSpace(err)
}

// begun records, before n bytes from off change, that the content differs from the bucket's,
// and where: a crash after it sends a file too many, never one too few. The caller holds
// nd.mu.
func (fs *FS) begun(nd *node, off, length int64) (index.Inode, index.Content, error) {
	fs.wb.Rewritten(nd.ino, off, length)
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return n, c, err
	}
	unsettled, err := writeback.Unsettled(fs.Index, n)
	if err != nil {
		return n, c, err
	}
	if unsettled && nd.sent == 0 {
		// An attempt whose end is not known, perhaps of an earlier process, may have sent
		// this very generation: when it is found in the bucket, it must not pass for ours.
		nd.sent = n.Gen
	}
	nd.wroteTo()
	if n.Gen > max(n.PlacedGen, nd.sent) && !c.Same.Overlaps(off, length) {
		return n, c, nil
	}
	err = fs.change(func(tx *change) error {
		var err error
		if n, err = tx.Inode(nd.ino); err != nil {
			return notExist(err)
		}
		if n.Gen <= max(n.PlacedGen, nd.sent) {
			n.Gen = max(n.PlacedGen, nd.sent) + 1
		}
		// A replacement by the bucket's version is over now: ours is the newer one.
		if c, err = tx.Content(nd.ino); err != nil {
			return err
		}
		if c.Same.Overlaps(off, length) {
			c.Change(grains(off, length, fs.PartSize/partGrains))
			err = tx.PutContent(nd.ino, c)
		}
		return errors.Join(err, tx.put(n, settleOpen))
	})
	return n, c, err
}

// wroteOn tells the write-back how far a file was written in sequence, so that it can be sent
// while it is written. With the store on this disk that would save nothing. The caller holds
// nd.mu.
func (fs *FS) wroteOn(nd *node, off, length int64) {
	if off > nd.head || fs.LocalStore {
		return
	}
	if nd.head = max(nd.head, off+length); nd.head < nd.told {
		return
	}
	var streaming bool
	if nd.told, streaming = fs.wb.Grown(nd.ino, nd.head); streaming {
		nd.streamed.Store(time.Now().UnixNano())
	}
}

// partGrains is how many grains a part of an upload has: random writes leave no more ranges
// in what is the same than that, and look no more often at the index.
const partGrains = 16

// grains widens a range to whole grains.
func grains(off, n, grain int64) (int64, int64) {
	first := off / grain * grain
	if n > math.MaxInt64-off-grain {
		return first, math.MaxInt64
	}
	return first, (off+n+grain-1)/grain*grain - first
}

// wrote records what a write has changed: the file, what is resident, the size, the times. The
// clock ticks every few milliseconds, so that most writes into resident bytes change
// nothing that must be recorded. The caller holds nd.mu.
func (fs *FS) wrote(nd *node, n index.Inode, c index.Content, off, length int64) error {
	now := coarseNow()
	resident := c.Resident.Covers(off, length)
	if resident && off+length <= n.Size && n.Mtime.Equal(now) {
		return nil
	}
	var old uint64
	err := fs.Index.Update(func(tx *index.Tx) error {
		n, err := tx.Inode(nd.ino)
		if err != nil {
			return notExist(err)
		}
		n.Mtime, n.Ctime = now, now
		if resident && off+length <= n.Size {
			return tx.PutTimes(n)
		}
		n.Size = max(n.Size, off+length)
		if err := tx.PutInode(n); err != nil || resident {
			return err
		}
		is, err := tx.Content(nd.ino)
		if err != nil {
			return err
		}
		old = moved(&is, c)
		is.Fill(off, length)
		c = is
		return tx.PutContent(nd.ino, c)
	})
	if err == nil && !resident {
		fs.leftFile(nd, old)
		fs.account(n, c)
	}
	return err
}

// truncate sets a file's size.
func (fs *FS) truncate(ino Ino, size int64) error {
	if size < 0 || size > sizeMax {
		return ErrTooBig
	}
	if fs.ReadOnly {
		return ErrReadOnly
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n, err := fs.Index.Inode(ino)
	if err != nil {
		return notExist(err)
	}
	if n.Dir != nil {
		return ErrIsDir
	}
	if !isRegular(n) {
		return ErrInvalid
	}
	if fs.isPassed(ino) {
		err := fs.changePassed(nd, func(f *cache.File) error { return f.Truncate(size) })
		if size == 0 {
			nd.told = 0 // from here on it does
		}
		return err
	}
	if n, _, err = fs.begun(nd, min(size, n.Size), math.MaxInt64); err != nil {
		return err
	}
	var c index.Content
	before := n.Size
	err = fs.Index.Update(func(tx *index.Tx) error {
		var err error
		if n, err = tx.Inode(ino); err != nil {
			return notExist(err)
		}
		if c, err = tx.Content(ino); err != nil {
			return err
		}
		now := coarseNow()
		n.Size, n.Mtime, n.Ctime = size, now, now
		c.Truncate(size)
		return errors.Join(tx.PutInode(n), tx.PutContent(ino, c))
	})
	if err != nil {
		return err
	}
	nd.head, nd.told = min(nd.head, size), 0
	fs.account(n, c)
	if !fs.isOpen(ino) {
		fs.wb.Dirty(ino, settleFile) // truncate(2) by path: no close will tell of it
	}
	if c.File == 0 {
		return nil
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	if size >= before {
		return nil
	}
	// Only to give back space: what is not resident is not read.
	return noSpace(f.Truncate(size))
}
