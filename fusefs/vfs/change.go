package vfs

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
)

// How long a change may wait for others to be sent with it.
const (
	settleFile = 100 * time.Millisecond // after a close, chmod, rename …
	settleOpen = -1                     // while a file is open for writing: see rest.go
	settleDir  = 2 * time.Second        // a directory's times alone (hard-cases 31)
)

// change is a transaction of the index that remembers whom to tell after its commit.
type change struct {
	*index.Tx
	wb    *writeback.Writeback
	now   time.Time
	dirty map[Ino]time.Duration
	after []func()
}

// change runs a transaction and, if it was committed, tells the write-back.
func (fs *FS) change(fn func(c *change) error) error {
	c := &change{wb: fs.wb, now: coarseNow()}
	err := fs.Index.Update(func(tx *index.Tx) error {
		c.Tx = tx
		return fn(c)
	})
	if err != nil {
		return err
	}
	for ino, settle := range c.dirty {
		if settle != settleOpen {
			fs.wb.Dirty(ino, settle)
		}
	}
	for _, fn := range c.after {
		fn()
	}
	return nil
}

// put stores an inode whose content or attributes the bucket must follow.
func (c *change) put(n index.Inode, settle time.Duration) error {
	if c.dirty == nil {
		c.dirty = make(map[Ino]time.Duration)
	}
	if old, ok := c.dirty[n.Ino]; !ok || old == settleOpen || settle < old && settle != settleOpen {
		c.dirty[n.Ino] = settle
	}
	return errors.Join(c.PutInode(n), c.SetDirty(n.Ino))
}

// renamed gives an inode the time of a change of its name.
func (c *change) renamed(n index.Inode) error {
	if n.Of != 0 {
		whole, err := c.Inode(n.Of)
		if err != nil {
			return err
		}
		whole.Ctime = c.now
		return errors.Join(writeback.Recount(c.Tx, whole), c.put(whole, settleFile), c.put(n, settleFile))
	}
	n.Ctime = c.now
	n.AttrGen++
	return c.put(n, settleFile)
}

// touchDir gives a directory the times of a change of its names.
func (c *change) touchDir(ino Ino) error {
	n, err := c.Inode(ino)
	if err != nil {
		return err
	}
	if n.Mtime.Equal(c.now) && n.AttrGen > n.PlacedAttrGen {
		return nil
	}
	retimed := c.wb.Retimed(n)
	n.Mtime, n.Ctime = c.now, c.now
	n.AttrGen++
	if retimed != nil {
		c.do(func() { retimed(n.AttrGen) })
	}
	return c.put(n, settleDir)
}

// do runs something after the commit.
func (c *change) do(fn func()) { c.after = append(c.after, fn) }

// coarseNow is the clock of every time that a file has. It is the one by which the
// kernel stamps files, so that no file seems older than what it was made from
// (hard-cases 24).
func coarseNow() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return time.Now()
	}
	return time.Unix(ts.Unix())
}

// isClean reports whether the bucket has an inode's content.
func isClean(n index.Inode) bool { return n.Gen == n.PlacedGen && n.Placed != "" }

// notExist turns the index's "not found" into the filesystem's.
func notExist(err error) error {
	if errors.Is(err, index.ErrNotFound) {
		return ErrNotExist
	}
	return err
}
