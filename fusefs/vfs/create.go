package vfs

import (
	"context"
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
)

// Mkdir makes a directory. Errors: ErrExist, ErrNameTooLong.
func (fs *FS) Mkdir(ctx context.Context, parent Ino, name string, mode uint32, who Caller) (Entry, error) {
	n := index.Inode{
		Mode: layout.TypeDir | mode&permMask, UID: who.UID, GID: who.GID, AttrGen: 1,
		// What was just made is empty, and known to be.
		Dir: &index.Dir{Listed: true, ListedAt: time.Now()},
	}
	return fs.make(ctx, parent, name, n, who.Umask, settleFile)
}

// Symlink makes a symbolic link.
func (fs *FS) Symlink(ctx context.Context, parent Ino, name, target string, who Caller) (Entry, error) {
	if target == "" {
		return Entry{}, ErrNotExist
	}
	if len(target) > targetMax {
		return Entry{}, ErrNameTooLong
	}
	n := index.Inode{
		Mode: layout.TypeSymlink | 0o777, UID: who.UID, GID: who.GID, Gen: 1,
		Target: target, Size: int64(len(target)),
	}
	return fs.make(ctx, parent, name, n, who.Umask, settleFile)
}

// Mknod makes a fifo, a socket, a device or an empty regular file; the type is in mode. A
// device's number is kept and shown, and the kernel opens none on this mount.
func (fs *FS) Mknod(ctx context.Context, parent Ino, name string, mode, rdev uint32, who Caller) (Entry, error) {
	n := index.Inode{Mode: mode & (layout.TypeMask | permMask), UID: who.UID, GID: who.GID, Gen: 1}
	switch n.Mode & layout.TypeMask {
	case layout.TypeChar, layout.TypeBlock:
		n.Rdev = rdev
	case layout.TypeRegular, layout.TypeFifo, layout.TypeSocket:
	default:
		return Entry{}, ErrInvalid
	}
	return fs.make(ctx, parent, name, n, who.Umask, settleFile)
}

// targetMax is the longest target of a symlink, in bytes (PATH_MAX without its NUL).
const targetMax = 4095

// Create makes a regular file and opens it as the handle fh.
func (fs *FS) Create(ctx context.Context, parent Ino, name string, mode, openFlags uint32, fh uint64, who Caller) (Entry, OpenResult, error) {
	n := index.Inode{Mode: layout.TypeRegular | mode&permMask, UID: who.UID, GID: who.GID, Gen: 1}
	e, err := fs.make(ctx, parent, name, n, who.Umask, settleOpen)
	if errors.Is(err, ErrExist) && openFlags&openExcl == 0 {
		// Somebody was quicker, or the kernel did not know of it.
		if e, err = fs.Lookup(ctx, parent, name); err == nil {
			var r OpenResult
			r, err = fs.Open(ctx, e.Ino, openFlags, fh)
			return e, r, err
		}
	}
	if err != nil {
		return Entry{}, OpenResult{}, err
	}
	h := fs.newHandle(fh, e.Ino, openFlags)
	h.node.wroteTo()
	n.Ino = e.Ino
	r, err := fs.enterCreated(h, n, openFlags|openNoAtime, who.Thread)
	if err != nil {
		fs.dropHandle(fh)
	}
	if r.Backing != 0 {
		e.AttrTTL = 0 // hard-cases 20
	}
	return e, r, err
}

// make enters a new inode under a name that is not taken.
func (fs *FS) make(ctx context.Context, parent Ino, name string, n index.Inode, umask uint32, settle time.Duration) (Entry, error) {
	if len(name) > nameMax {
		return Entry{}, ErrNameTooLong
	}
	if err := fs.writable(ctx, parent); err != nil {
		return Entry{}, err
	}
	if _, _, err := fs.resolve(ctx, parent, name); err == nil {
		return Entry{}, ErrExist
	} else if !errors.Is(err, ErrNotExist) {
		return Entry{}, err
	}
	var dir index.Inode
	err := fs.change(func(c *change) error {
		var err error
		if dir, err = c.Inode(parent); err != nil {
			return notExist(err)
		}
		if dir.Nlink == 0 {
			return ErrNotExist
		}
		if _, err := c.Lookup(parent, name); !errors.Is(err, index.ErrNotFound) {
			return errors.Join(ErrExist, err)
		}
		n.Ino, n.Nlink = c.NewIno(), 1
		begin(&n, dir, umask, c.now)
		if err := errors.Join(carries(c, n), c.put(n, settle), c.Enter(parent, name, n.Ino), c.touchDir(parent)); err != nil {
			return err
		}
		return fs.fits(c.Tx, parent, name, n)
	})
	if err != nil {
		return Entry{}, err
	}
	return fs.entry(dir, n)
}

// begin gives a new inode its times, and what its directory hands down: the group, and
// access control lists in place of the umask. The kernel has taken setgid from what its
// caller may not give to that group.
func begin(n *index.Inode, dir index.Inode, umask uint32, now time.Time) {
	n.Atime, n.Mtime, n.Ctime = now, now, now
	inheritACL(n, dir, umask)
	if dir.Mode&setGID == 0 {
		return
	}
	n.GID = dir.GID
	if n.Dir != nil {
		n.Mode |= setGID
	}
}

// fits checks that an inode with a name can have a key.
func (fs *FS) fits(r writeback.Reader, parent Ino, name string, n index.Inode) error {
	f, err := fs.folder(r, parent)
	if err == nil {
		_, err = f.Key(name, n.Dir != nil)
	}
	switch {
	case errors.Is(err, layout.ErrNameTooLong):
		return errors.Join(ErrNameTooLong, err)
	case errors.Is(err, layout.ErrReserved):
		return errors.Join(ErrNotPermitted, err)
	case errors.Is(err, layout.ErrInvalidPath):
		return errors.Join(ErrInvalid, err)
	}
	return err
}
