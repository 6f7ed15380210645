package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
)

// Unlink removes a name of anything but a directory. An open file lives on until its
// last close.
func (fs *FS) Unlink(ctx context.Context, parent Ino, name string) error {
	return fs.remove(ctx, parent, name, false)
}

// Rmdir removes an empty directory. Errors: ErrNotEmpty.
func (fs *FS) Rmdir(ctx context.Context, parent Ino, name string) error {
	return fs.remove(ctx, parent, name, true)
}

func (fs *FS) remove(ctx context.Context, parent Ino, name string, isDir bool) error {
	if err := fs.writable(ctx, parent); err != nil {
		return err
	}
	_, n, err := fs.resolve(ctx, parent, name)
	if err != nil {
		return err
	}
	if n, err = fs.known(ctx, n.Ino); err != nil {
		return err // how many names it has must be known
	}
	if n.Dir != nil && isDir {
		if _, err := fs.fresh(ctx, n.Ino); err != nil {
			return err
		}
		if err := fs.clearHidden(ctx, n.Ino); err != nil {
			return err
		}
	}
	return fs.change(func(c *change) error {
		ino, err := c.Lookup(parent, name)
		if err != nil {
			return notExist(err)
		}
		n, err := c.Inode(ino)
		if err != nil {
			return notExist(err)
		}
		if err := mayRemove(c, n, isDir); err != nil {
			return err
		}
		return errors.Join(c.Remove(parent, name), fs.drop(c, n), c.touchDir(parent))
	})
}

// mayRemove checks that an inode's name may go, as a directory's or as another's. Keys
// that cannot be shown do not count (hidden.go).
func mayRemove(c *change, n index.Inode, isDir bool) error {
	switch {
	case isDir && n.Dir == nil:
		return ErrNotDir
	case !isDir && n.Dir != nil:
		return ErrIsDir
	case n.Dir == nil:
		return nil
	}
	empty, err := c.Empty(n.Ino)
	if err == nil && !empty {
		return ErrNotEmpty
	}
	return err
}

// drop takes one name from an inode that has just lost it. With the last one its object
// is doomed; its record and its content go when the kernel forgets it.
func (fs *FS) drop(c *change, n index.Inode) error {
	if n.Of != 0 {
		return fs.leave(c, n)
	}
	n.Nlink--
	n.Ctime = c.now
	if n.Nlink > 0 {
		return c.put(n, settleFile)
	}
	if key := n.Placed; key != "" {
		if err := c.Doom(key); err != nil {
			return err
		}
		c.do(func() { fs.wb.Doomed(key) })
	}
	if n.Sending == "" {
		if err := c.ClearDirty(n.Ino); err != nil {
			return err
		}
	}
	return c.PutInode(n)
}

// leave takes from a file with several names one that was just removed.
func (fs *FS) leave(c *change, member index.Inode) error {
	n, err := fs.wb.Leave(c.Tx, member)
	if err != nil {
		return err
	}
	n.Ctime = c.now
	if n.Nlink == 0 {
		return c.PutInode(n)
	}
	return c.put(n, settleFile)
}
