package vfs

import (
	"errors"
	"math"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// A content file that the kernel was given changes without a word to us. Its modification
// time tells: it was marked with one that no write leaves (cache.Marked), so that any write
// since shows, however soon it came. Marks are set where nobody can write to the file (pass)
// and where an upload begins that sends whatever was written before (mark); nowhere else,
// because a mark hides what was not absorbed yet.

// absorb takes over what was done to a content file behind our back: a new generation, size
// and times, and that all of it is on this host; and when it was read. The caller holds
// nd.mu alone.
func (fs *FS) absorb(nd *node) error {
	p := fs.passedOf(nd.ino)
	if p == nil || !p.open && nd.phase == nil {
		return nil
	}
	return fs.withPassed(nd, p, func(f *cache.File) error {
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if ph := nd.phase; ph != nil && st.Atime.After(ph.read) {
			ph.read = st.Atime
			fs.accessedAt(nd.ino, st.Atime)
		}
		if !p.open || !differs(st, p.seen) {
			return nil
		}
		return fs.takeOver(nd, p, st)
	})
}

// unread lets the next read of a passed file show in its access time, whatever that is now.
func (ph *phase) unread() error {
	ph.read = cache.Marked
	return ph.file.Unread()
}

// unread is phase.unread for an inode whose access time was set.
func (fs *FS) unread(ino Ino) error {
	if !fs.isPassed(ino) {
		return nil
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if nd.phase == nil {
		return nil
	}
	return nd.phase.unread()
}

// statPassed asks the disk of a content file that may change behind our back.
func (fs *FS) statPassed(ino Ino) (st cache.Stat, ok bool) {
	if !fs.mayDiffer(ino) {
		return st, false
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	p := fs.passedOf(ino)
	if p == nil {
		return st, false
	}
	err := fs.withPassed(nd, p, func(f *cache.File) (err error) {
		st, err = f.Stat()
		return err
	})
	return st, err == nil
}

func differs(st, seen cache.Stat) bool { return st.Size != seen.Size || !st.Mtime.Equal(seen.Mtime) }

// catchUp is absorb for an inode.
func (fs *FS) catchUp(ino Ino) error {
	if !fs.isPassed(ino) {
		return nil
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return fs.absorb(nd)
}

// catchUpAll is catchUp for fsync: what was written with O_DIRECT may have changed after
// the time that tells of it, and is sent anyway.
func (fs *FS) catchUpAll(h *handle) error {
	if !fs.mayDiffer(h.ino) {
		return nil
	}
	nd := h.node
	nd.mu.Lock()
	defer nd.mu.Unlock()
	err := fs.absorb(nd)
	if p := fs.passedOf(nd.ino); err == nil && p.direct {
		_, _, err = fs.begun(nd, 0, math.MaxInt64)
	}
	return err
}

// withPassed opens a passed content file for reading.
func (fs *FS) withPassed(nd *node, p *passed, fn func(f *cache.File) error) error {
	if nd.phase != nil {
		return fn(nd.phase.file)
	}
	f, err := fs.Cache.OpenRead(uint64(nd.ino), p.file)
	if err != nil {
		return err
	}
	return errors.Join(fn(f), f.Close())
}

func (fs *FS) takeOver(nd *node, p *passed, st cache.Stat) error {
	if _, _, err := fs.begun(nd, 0, math.MaxInt64); err != nil {
		return err
	}
	var n index.Inode
	var c index.Content
	err := fs.Index.Update(func(tx *index.Tx) error {
		var err error
		if n, err = tx.Inode(nd.ino); err != nil {
			return notExist(err)
		}
		if c, err = tx.Content(nd.ino); err != nil {
			return err
		}
		switch {
		case st.Mtime.Equal(cache.Marked):
			n.Mtime = coarseNow()
		case !st.Mtime.Equal(p.followed) || st.Size != n.Size:
			n.Mtime = st.Mtime
		}
		n.Size = st.Size
		n.Ctime = latest(n.Ctime, n.Mtime, st.Ctime)
		whole(&c, n.Size)
		record := p.record(p.open)
		record.Followed = st.Mtime
		return errors.Join(tx.PutInode(n), tx.PutContent(nd.ino, c), tx.PutPassed(nd.ino, record))
	})
	if err != nil {
		return err
	}
	p.seen, p.taken = st, true
	p.followed = st.Mtime
	fs.opens.changes.Add(1)
	fs.set(func() { p.pause = 0 })
	fs.account(n, c)
	if !fs.isOpen(nd.ino) {
		fs.wb.Dirty(nd.ino, settleFile) // no close will tell of it
	}
	return nil
}

// whole records that the content file is the file: its holes are the disk's.
func whole(c *index.Content, size int64) {
	c.Resident, c.Holes = extent.Set{}, extent.Set{}
	c.Resident.Add(0, size)
	c.BaseLen = min(c.BaseLen, size)
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// unsame records that any byte of a file may differ from its object's.
func unsame(tx *index.Tx, ino Ino) error {
	c, err := tx.Content(ino)
	if err != nil || c.Same.Size() == 0 {
		return err
	}
	c.Change(0, math.MaxInt64)
	return tx.PutContent(ino, c)
}

// markTries bounds how often a mark is set anew because the file grew meanwhile.
const markTries = 3

// mark makes every change from now on show, for an upload that sends all that was changed
// before. Writes under way end first, and pages that are mapped become clean, so that the
// next store through a mapping tells (hard-cases 1). The caller holds nd.mu alone.
func (fs *FS) mark(nd *node, p *passed) error {
	return fs.withPassed(nd, p, func(f *cache.File) error {
		for range markTries {
			if err := fs.absorb(nd); err != nil {
				return err
			}
			n, c, err := fs.content(nd.ino)
			if err != nil || isClean(n) || c.File != p.file {
				return err // nothing of the content is sent that the bucket has not
			}
			if err := fs.Index.Update(func(tx *index.Tx) error { return unsame(tx, nd.ino) }); err != nil {
				return err
			}
			if err := errors.Join(f.Mark(), f.Clean()); err != nil {
				return err
			}
			p.seen = cache.Stat{Size: n.Size, Mtime: cache.Marked}
			if st, err := f.Stat(); err != nil || st.Size == n.Size {
				return err
			}
		}
		return nil // the upload finds that it has changed
	})
}

// flush writes what is mapped to the disk before mark does, which holds a lock; a file that
// nobody can change any more needs neither.
func (fs *FS) flush(nd *node) error {
	if !fs.mayDiffer(nd.ino) {
		return nil
	}
	if err := notThere(fs.look(nd.ino)); err != nil {
		return err
	}
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	p := fs.passedOf(nd.ino)
	if p == nil || !p.open {
		return nil
	}
	return fs.withPassed(nd, p, func(f *cache.File) error { return f.Clean() })
}

// observe marks a content file that may change while it is sent. The caller holds nd.mu
// alone.
func (fs *FS) observe(nd *node) error {
	p := fs.passedOf(nd.ino)
	if p == nil || !p.open {
		return nil
	}
	return fs.mark(nd, p)
}

// hasChanged reports whether a content file was changed behind our back since it was
// marked.
func (fs *FS) hasChanged(nd *node, f *cache.File) bool {
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	p := fs.passedOf(nd.ino)
	if p == nil || !p.open || f == nil {
		return false
	}
	st, err := f.Stat()
	return err != nil || differs(st, p.seen)
}

// changePassed does to a passed content file what an operation asks for, as to any local
// file, and takes over the outcome. The caller holds nd.mu alone.
func (fs *FS) changePassed(nd *node, fn func(f *cache.File) error) error {
	p := fs.passedOf(nd.ino)
	if err := fs.intend(nd, p, false); err != nil {
		return err
	}
	if _, _, err := fs.begun(nd, 0, math.MaxInt64); err != nil {
		return err
	}
	nd.told = math.MaxInt64 // its size does not tell what was written
	f, done, err := nd.open(fs.Cache, p.file)
	if err != nil {
		return err
	}
	err = noSpace(fn(f))
	done()
	return errors.Join(err, fs.absorb(nd))
}
