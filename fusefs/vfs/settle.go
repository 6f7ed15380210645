package vfs

import (
	"errors"
	"math"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
)

// After its last close a passed file may still be mapped, for writing too, also by programs
// whose mount is gone. Nobody tells when that ends. So it is looked at again until a lease
// proves that no writer is left; only then is what the index knows of it true for good, and
// only a file that nobody uses at all is evicted (hard-cases 1).

// lookMost is the longest pause between two looks at a file that is only mapped.
const lookMost = 10 * time.Second

// settle finds out whether a content file can still change behind our back, and if not,
// records it. The caller holds nd.mu alone.
func (fs *FS) settle(nd *node, p *passed) error {
	if !p.open || fs.isWritten(nd.ino) {
		return nil
	}
	nd.closeFile() // ours would count as a writer's
	return fs.withPassed(nd, p, func(f *cache.File) error {
		alone, err := f.Unwritten()
		if err != nil {
			return err
		}
		if err := fs.absorb(nd); err != nil {
			return err
		}
		if !alone {
			fs.set(func() {
				// A drain's look, before it is due, says nothing of how often there is a change.
				if now := time.Now(); p.pause == 0 || !now.Before(p.next) {
					p.pause = min(max(2*p.pause, restLook), lookMost)
					p.next = now.Add(p.pause)
				}
			})
			return nil
		}
		if p.direct {
			// A write may have been under way past the mark of the last upload.
			if _, _, err := fs.begun(nd, 0, math.MaxInt64); err != nil {
				return err
			}
			if !fs.isOpen(nd.ino) {
				fs.wb.Dirty(nd.ino, settleFile)
			}
		}
		err = fs.Index.Update(func(tx *index.Tx) error {
			return tx.PutPassed(nd.ino, p.record(false))
		})
		if err == nil {
			fs.set(func() { p.open, p.direct = false, false })
		}
		return err
	})
}

// lookBehind looks at the passed files that are due.
func (fs *FS) lookBehind(now time.Time) {
	var due []Ino
	fs.mu.Lock()
	for ino, p := range fs.passed {
		if p.open && !now.Before(p.next) {
			due = append(due, ino)
		}
	}
	fs.mu.Unlock()
	for _, ino := range due {
		if err := fs.look(ino); err != nil && !errors.Is(err, ErrNotExist) {
			fs.Log.Warn("a content file was not looked at", "inode", uint64(ino), "error", err)
		}
		fs.grewUnseen(ino)
	}
}

// grewUnseen tells the write-back that a passed file is written to and has grown, so that it
// can be sent while it is written. With the store on this disk that would save nothing.
func (fs *FS) grewUnseen(ino Ino) {
	if fs.LocalStore || !fs.isWritten(ino) {
		return
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n, err := fs.Index.Inode(ino)
	if err != nil || nd.phase == nil || n.Size < nd.told {
		return
	}
	var streaming bool
	if nd.told, streaming = fs.wb.GrownUnseen(ino, n.Size); streaming {
		nd.streamed.Store(time.Now().UnixNano())
	}
}

// look absorbs what was done to an inode's content file, and settles it if that is possible.
func (fs *FS) look(ino Ino) error {
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	p := fs.passedOf(ino)
	if p == nil || !p.open {
		return nil
	}
	return errors.Join(fs.absorb(nd), fs.settle(nd, p))
}

// lookAll looks at every content file that may have changed.
func (fs *FS) lookAll() error {
	var open []Ino
	fs.mu.Lock()
	for ino, p := range fs.passed {
		if p.open {
			open = append(open, ino)
		}
	}
	fs.mu.Unlock()
	var err error
	for _, ino := range open {
		err = errors.Join(err, notThere(fs.look(ino)))
	}
	return err
}

// notThere leaves out that an inode is gone.
func notThere(err error) error {
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}

// recall reads what an earlier process gave to the kernel, and absorbs what was done to it
// since. After another boot nobody can have it any more.
func (fs *FS) recall() error {
	records := make(map[Ino]index.Passed)
	if err := fs.Index.AllPassed(func(ino Ino, p index.Passed) bool { records[ino] = p; return true }); err != nil {
		return err
	}
	last, err := fs.Index.Meta(metaBoot)
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		return err
	}
	rebooted := string(last) != fs.BootID
	for ino, r := range records {
		n, c, err := fs.content(ino)
		there := err == nil && c.File == r.File
		if err = notThere(err); err == nil && there {
			fs.passed[ino] = &passed{file: r.File, open: r.Open, stale: true, followed: r.Followed, seen: cache.Stat{Size: n.Size, Mtime: cache.Marked}}
			err = fs.look(ino)
		}
		if err == nil && (!there || rebooted) {
			err = fs.forgetPassed(ino)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetPassed ends what is known of a content file that nobody can have.
func (fs *FS) forgetPassed(ino Ino) error {
	err := fs.Index.Update(func(tx *index.Tx) error { return tx.DropPassed(ino) })
	fs.set(func() { delete(fs.passed, ino) })
	return err
}

// evictPassed is evictOne for a content file that the kernel was given: it goes only when
// nobody uses it.
func (fs *FS) evictPassed(ino Ino) error {
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	p := fs.passedOf(ino)
	if p == nil {
		return nil
	}
	if err := fs.settle(nd, p); err != nil {
		return err
	}
	unused := false
	if nd.phase == nil && !p.open {
		nd.closeFile()
		err := fs.withPassed(nd, p, func(f *cache.File) (err error) {
			unused, err = f.Unused()
			return err
		})
		if err != nil {
			return err
		}
	}
	if !unused {
		fs.ledger.Touch(uint64(ino)) // others first, the next time
		return nil
	}
	file, err := fs.giveUp(ino, true)
	if err != nil || file == 0 {
		return notExist(err)
	}
	return fs.discardLocked(nd, file)
}
