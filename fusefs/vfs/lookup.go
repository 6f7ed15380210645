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
	if err != nil {
		return
	}
	if n.Nlink > 0 {
		fs.tolds.forgot()
		return
	}
	fs.mu.Lock()
	if nd, ok := fs.nodes[ino]; ok {
		nd.forgotten = true
	}
	fs.mu.Unlock()
	fs.graves.add(fs, ino)
}
