package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
)

// The flags of renameat2(2): RENAME_NOREPLACE and RENAME_EXCHANGE. RENAME_WHITEOUT is for
// the layers of overlays, which no network filesystem can be.
const (
	renameNoReplace = 1
	renameExchange  = 2
)

// Rename moves a name, over an existing one too, or exchanges two.
func (fs *FS) Rename(ctx context.Context, oldParent Ino, oldName string, newParent Ino, newName string, flags uint32) error {
	if flags&^(renameNoReplace|renameExchange) != 0 || flags == renameNoReplace|renameExchange {
		return ErrInvalid
	}
	if len(newName) > nameMax {
		return ErrNameTooLong
	}
	if err := errors.Join(fs.writable(ctx, oldParent), fs.writable(ctx, newParent)); err != nil {
		return err
	}
	if err := fs.mayMove(ctx, oldParent, oldName); err != nil {
		return err
	}
	r := renaming{fs: fs, oldParent: oldParent, newParent: newParent, oldName: oldName, newName: newName, flags: flags}
	if flags&renameExchange != 0 {
		if err := fs.mayMove(ctx, newParent, newName); err != nil {
			return err
		}
		return fs.change(r.exchange)
	}
	_, dst, err := fs.resolve(ctx, newParent, newName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if err == nil {
		if dst, err = fs.known(ctx, dst.Ino); err != nil {
			return err // how many names it has must be known
		}
	}
	if dst.Dir != nil {
		if _, err := fs.fresh(ctx, dst.Ino); err != nil {
			return err
		}
		if err := fs.clearHidden(ctx, dst.Ino); err != nil {
			return err
		}
	}
	return fs.change(r.do)
}

// mayMove makes sure that what a name stands for is known, a directory's subtree
// included: every object below gets an owner, so that it moves along (hard-cases 16).
func (fs *FS) mayMove(ctx context.Context, parent Ino, name string) error {
	_, n, err := fs.resolve(ctx, parent, name)
	if err != nil {
		return err
	}
	if n, err = fs.known(ctx, n.Ino); err != nil || n.Dir == nil {
		return err
	}
	return fs.listTree(ctx, n.Ino)
}

// renaming is one rename inside its transaction.
type renaming struct {
	fs                   *FS
	oldParent, newParent Ino
	oldName, newName     string
	flags                uint32
}

func (r renaming) do(c *change) error {
	ino, err := c.Lookup(r.oldParent, r.oldName)
	if err != nil {
		return notExist(err)
	}
	src, err := c.Inode(ino)
	if err != nil {
		return notExist(err)
	}
	if dir, err := c.Inode(r.newParent); err != nil || dir.Nlink == 0 {
		return errors.Join(ErrNotExist, err)
	}
	if src.Dir != nil {
		if inside, err := below(c, r.newParent, src.Ino); err != nil || inside {
			return errors.Join(ErrInvalid, err)
		}
	}
	target, err := c.Lookup(r.newParent, r.newName)
	if err == nil {
		dst, err := c.Inode(target)
		if err != nil {
			return notExist(err)
		}
		if dst.Whole() == src.Whole() && r.flags&renameNoReplace == 0 {
			return nil
		}
		if err := r.replace(c, src, dst); err != nil {
			return err
		}
	} else if !errors.Is(err, index.ErrNotFound) {
		return err
	}
	err = errors.Join(
		c.Remove(r.oldParent, r.oldName), c.Enter(r.newParent, r.newName, src.Ino),
		c.renamed(src), c.touchDir(r.oldParent), c.touchDir(r.newParent))
	if err != nil {
		return err
	}
	return r.moved(c, r.newParent, r.newName, src)
}

// moved checks that an inode with a new name can have a key, and queues what lies below
// it: all of that has new keys too.
func (r renaming) moved(c *change, parent Ino, name string, n index.Inode) error {
	if err := r.fs.fits(c.Tx, parent, name, n); err != nil || n.Dir == nil {
		return err
	}
	c.do(func() { r.fs.wb.Moved(n.Ino) })
	return c.QueueSubtree(n.Ino)
}

// replace removes what the new name was.
func (r renaming) replace(c *change, src, dst index.Inode) error {
	if r.flags&renameNoReplace != 0 {
		return ErrExist
	}
	if err := mayRemove(c, dst, src.Dir != nil); err != nil {
		return err
	}
	// Entering the new inode replaces the name at its place: who reads the directory
	// sees it exactly once.
	return r.fs.drop(c, dst)
}

// below reports whether dir is, or lies below, another directory.
func below(c *change, dir, above Ino) (bool, error) {
	for dir != Root {
		if dir == above {
			return true, nil
		}
		names, err := c.Names(dir)
		if err != nil {
			return false, err
		}
		if len(names) == 0 {
			return false, ErrNotExist
		}
		dir = names[0].Parent
	}
	return above == Root, nil
}

// listTree lists what is not listed yet of a directory and all below it.
func (fs *FS) listTree(ctx context.Context, dir Ino) error {
	dirs := []Ino{dir}
	for len(dirs) > 0 {
		next := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		if _, err := fs.fresh(ctx, next); errors.Is(err, ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		below, err := fs.subdirs(next)
		if err != nil {
			return err
		}
		dirs = append(dirs, below...)
	}
	return nil
}

// subdirs returns the directories in a directory. It looks no further than to the last:
// most directories have none.
func (fs *FS) subdirs(dir Ino) ([]Ino, error) {
	count, err := fs.Index.Subdirs(dir)
	if err != nil || count == 0 {
		return nil, err
	}
	var dirs []Ino
	var failed error
	err = fs.Index.Dirents(dir, 0, func(d index.Dirent) bool {
		n, err := fs.Index.Inode(d.Ino)
		if err == nil && n.Dir != nil {
			dirs = append(dirs, n.Ino)
		} else if err != nil && !errors.Is(err, index.ErrNotFound) {
			failed = err
		}
		return failed == nil && uint64(len(dirs)) < count
	})
	return dirs, errors.Join(err, failed)
}
