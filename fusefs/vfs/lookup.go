package vfs

import (
	"context"

	"objvol/fusefs/index"
)

// Lookup returns the inode of a name. Errors: ErrNotExist.
func (fs *FS) Lookup(ctx context.Context, parent Ino, name string) (Entry, error) {
	if len(name) > nameMax {
		return Entry{}, ErrNameTooLong
	}
	dir, n, err := fs.resolve(ctx, parent, name)
	if err != nil {
		return Entry{}, err
	}
	if n.Vague || n.HasMembers() {
		if n, err = fs.knownAs(ctx, parent, name); err != nil {
			return Entry{}, err
		}
	}
	return fs.entry(dir, n)
}

// nameMax is the longest name of Linux, in bytes.
const nameMax = 255

func (fs *FS) entry(dir, n index.Inode) (Entry, error) {
	ttl := fs.entryTTL(dir)
	a, err := fs.attr(n)
	e := Entry{Attr: a, EntryTTL: ttl, AttrTTL: ttl}
	if fs.mayDiffer(n.Ino) {
		e.AttrTTL = 0 // hard-cases 20
	}
	return e, err
}

// Forget says that the kernel does not know an inode any more. The record of one that is
// unlinked goes then: while the kernel knows it, it can ask for its attributes.
func (fs *FS) Forget(ino Ino, _ uint64) {
	n, err := fs.Index.Inode(ino)
	if err != nil || n.Nlink > 0 {
		return
	}
	fs.mu.Lock()
	if nd, ok := fs.nodes[ino]; ok {
		nd.forgotten = true
	}
	fs.mu.Unlock()
	if err := fs.bury(ino); err != nil {
		fs.Log.Warn("an unlinked inode stays", "inode", uint64(ino), "error", err)
	}
}

// bury removes an unlinked inode that nobody has open. One with a write under way stays
// for its end.
func (fs *FS) bury(ino Ino) error {
	var file uint64
	err := fs.Index.Update(func(tx *index.Tx) error {
		n, err := tx.Inode(ino)
		if err != nil || n.Nlink > 0 || fs.isOpen(ino) {
			return notExist(err)
		}
		if n.Of != 0 && n.Placed != "" {
			return nil // a member goes with its object
		}
		c, err := tx.Content(ino)
		if err != nil {
			return err
		}
		file = c.File
		if n.Sending != "" {
			n.Size = 0
			if err := tx.PutContent(ino, index.Content{}); err != nil {
				return err
			}
			return tx.PutInode(n)
		}
		if err := tx.ClearDirty(ino); err != nil {
			return err
		}
		return tx.DeleteInode(ino)
	})
	if err != nil || file == 0 {
		return err
	}
	return fs.discard(ino, file)
}
