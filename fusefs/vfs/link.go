package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
)

// linksMax is how many names a file can have, as on ext4.
const linksMax = 65_000

// Link gives a file one more name, a hard link. Errors: ErrExist, ErrNotPermitted for a
// directory, ErrTooManyLinks, ErrNameTooLong, ErrNotExist for a file without any name.
func (fs *FS) Link(ctx context.Context, ino, parent Ino, name string) (Entry, error) {
	if len(name) > nameMax {
		return Entry{}, ErrNameTooLong
	}
	if err := fs.writable(ctx, parent); err != nil {
		return Entry{}, err
	}
	if _, err := fs.known(ctx, ino); err != nil {
		return Entry{}, err
	}
	dir, _, err := fs.resolve(ctx, parent, name)
	if err == nil {
		return Entry{}, ErrExist
	}
	if !errors.Is(err, ErrNotExist) {
		return Entry{}, err
	}
	var n index.Inode
	err = fs.change(func(c *change) error {
		n, err = fs.link(c, ino, parent, name)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	return fs.entry(dir, n)
}

// link enters an inode under a name that is not taken.
func (fs *FS) link(c *change, ino, parent Ino, name string) (index.Inode, error) {
	n, err := c.Inode(ino)
	if err != nil {
		return n, notExist(err)
	}
	switch {
	case n.Dir != nil:
		return n, ErrNotPermitted
	case n.Nlink == 0 && (n.Placed != "" || n.HasMembers()):
		return n, ErrNotExist // only one that never had a name gets the first one
	case n.Nlink >= linksMax:
		return n, ErrTooManyLinks
	}
	dir, err := c.Inode(parent)
	if err != nil || dir.Nlink == 0 {
		return n, errors.Join(ErrNotExist, err)
	}
	if _, err := c.Lookup(parent, name); !errors.Is(err, index.ErrNotFound) {
		return n, errors.Join(ErrExist, err)
	}
	if n.Nlink == 0 {
		n.Nlink = 1
		err = c.Enter(parent, name, ino)
	} else {
		n, err = writeback.AddName(c.Tx, n, parent, name)
	}
	if err != nil {
		return n, err
	}
	n.Ctime = c.now
	if err := errors.Join(c.put(n, settleFile), c.touchDir(parent)); err != nil {
		return n, err
	}
	return n, fs.fits(c.Tx, parent, name, n)
}
