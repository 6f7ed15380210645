package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// renameNoReplace is renameat2's RENAME_NOREPLACE.
const renameNoReplace = 1

// Rename moves a name, over an existing one too. The only flag is RENAME_NOREPLACE.
func (fs *FS) Rename(ctx context.Context, oldParent Ino, oldName string, newParent Ino, newName string, flags uint32) error {
	if flags&^renameNoReplace != 0 {
		return ErrInvalid
	}
	if len(newName) > nameMax {
		return ErrNameTooLong
	}
	if err := errors.Join(fs.writable(ctx, oldParent), fs.writable(ctx, newParent)); err != nil {
		return err
	}
	_, src, err := fs.resolve(ctx, oldParent, oldName)
	if err != nil {
		return err
	}
	if _, err = fs.known(ctx, src.Ino); err != nil {
		return err
	}
	_, dst, err := fs.resolve(ctx, newParent, newName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if src.Dir != nil {
		// Every object below gets an owner, so that it moves along (hard-cases 16).
		if err := fs.listTree(ctx, src.Ino); err != nil {
			return err
		}
	}
	if dst.Dir != nil {
		if _, err := fs.fresh(ctx, dst.Ino); err != nil {
			return err
		}
	}
	r := renaming{fs: fs, oldParent: oldParent, newParent: newParent, oldName: oldName, newName: newName, flags: flags}
	return fs.change(r.do)
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
		if target == src.Ino && r.flags&renameNoReplace == 0 {
			return nil
		}
		if err := r.replace(c, src, target); err != nil {
			return err
		}
	} else if !errors.Is(err, index.ErrNotFound) {
		return err
	}
	oldKey, err := writeback.KeyOf(c, r.fs.Layout, src)
	if err != nil {
		return err
	}
	src.Ctime = c.now
	src.AttrGen++
	err = errors.Join(
		c.Remove(r.oldParent, r.oldName), c.Enter(r.newParent, r.newName, src.Ino),
		c.put(src, settleFile), c.touchDir(r.oldParent), c.touchDir(r.newParent))
	if err != nil {
		return err
	}
	if err := r.fs.fits(c.Tx, src); err != nil {
		return err
	}
	if src.Dir == nil {
		return nil
	}
	return r.moveTree(c, src, oldKey)
}

// replace removes what the new name was.
func (r renaming) replace(c *change, src index.Inode, target Ino) error {
	if r.flags&renameNoReplace != 0 {
		return ErrExist
	}
	dst, err := c.Inode(target)
	if err != nil {
		return notExist(err)
	}
	if err := mayRemove(c, dst, src.Dir != nil); err != nil {
		return err
	}
	// Entering the new inode replaces the name at its place: who reads the directory
	// sees it exactly once.
	return r.fs.drop(c, dst)
}

// moveTree queues what lies below a renamed directory, after a check that all of it
// still has room for its key.
func (r renaming) moveTree(c *change, src index.Inode, oldKey string) error {
	newKey, err := writeback.KeyOf(c, r.fs.Layout, src)
	if err != nil {
		return err
	}
	if grows := len(newKey) - len(oldKey); grows > 0 {
		longest, err := longestBelow(c, src.Ino, len(oldKey))
		if err != nil {
			return err
		}
		if longest+grows > objstore.MaxKeyLength {
			return ErrNameTooLong
		}
	}
	c.do(func() { r.fs.wb.Moved(src.Ino) })
	return c.QueueSubtree(src.Ino)
}

// longestBelow returns the length of the longest key at or below a directory, whose own
// is given.
func longestBelow(c *change, dir Ino, length int) (int, error) {
	longest := length
	type child struct {
		ino Ino
		len int
	}
	var dirs []child
	err := c.Dirents(dir, 0, func(d index.Dirent) bool {
		n := length + len(layout.Escape(d.Name))
		longest = max(longest, n)
		dirs = append(dirs, child{d.Ino, n})
		return true
	})
	if err != nil {
		return 0, err
	}
	for _, d := range dirs {
		n, err := c.Inode(d.ino)
		if err != nil {
			return 0, notExist(err)
		}
		if n.Dir == nil {
			continue
		}
		deepest, err := longestBelow(c, d.ino, d.len+1)
		if err != nil {
			return 0, err
		}
		longest = max(longest, deepest)
	}
	return longest, nil
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
		var failed error
		err := fs.Index.Dirents(next, 0, func(d index.Dirent) bool {
			n, err := fs.Index.Inode(d.Ino)
			if err == nil && n.Dir != nil {
				dirs = append(dirs, n.Ino)
			} else if err != nil && !errors.Is(err, index.ErrNotFound) {
				failed = err
			}
			return failed == nil
		})
		if err := errors.Join(err, failed); err != nil {
			return err
		}
	}
	return nil
}
