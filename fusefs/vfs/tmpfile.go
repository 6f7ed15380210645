package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// Tmpfile makes a regular file without a name and opens it as the handle fh. The bucket
// hears nothing of it before linkat(2) gives it a name. Without one it goes like any
// unlinked file: after its last close, or with the next start.
func (fs *FS) Tmpfile(ctx context.Context, parent Ino, mode, openFlags uint32, fh uint64, who Caller) (Entry, OpenResult, error) {
	if err := fs.writable(ctx, parent); err != nil {
		return Entry{}, OpenResult{}, err
	}
	n := index.Inode{Mode: layout.TypeRegular | mode&permMask, UID: who.UID, GID: who.GID, Gen: 1}
	err := fs.change(func(c *change) error {
		dir, err := c.Inode(parent)
		if err != nil {
			return notExist(err)
		}
		if dir.Nlink == 0 {
			return ErrNotExist
		}
		n.Ino = c.NewIno()
		begin(&n, dir, who.Umask, c.now)
		return errors.Join(carries(c, n), c.PutInode(n))
	})
	if err != nil {
		return Entry{}, OpenResult{}, err
	}
	r, err := fs.enterCreated(fs.newHandle(fh, n.Ino, openFlags), n, openFlags|openNoAtime, who.Thread)
	if err != nil {
		fs.dropHandle(fh)
	}
	return Entry{Attr: fs.attrOf(n)}, r, err
}
