package vfs

import (
	"errors"

	"objvol/fusefs/index"
)

// exchange lets two names stand for each other's inodes, in one transaction. In the
// bucket the two trees move past each other: the write-back opens the circles.
func (r renaming) exchange(c *change) error {
	one, err := r.exchanged(c, r.oldParent, r.oldName, r.newParent)
	if err != nil {
		return err
	}
	two, err := r.exchanged(c, r.newParent, r.newName, r.oldParent)
	if err != nil || one.Whole() == two.Whole() {
		return err
	}
	err = errors.Join(
		c.Enter(r.oldParent, r.oldName, two.Ino), c.Enter(r.newParent, r.newName, one.Ino),
		c.renamed(one), c.renamed(two), c.touchDir(r.oldParent), c.touchDir(r.newParent))
	if err != nil {
		return err
	}
	return errors.Join(r.moved(c, r.newParent, r.newName, one), r.moved(c, r.oldParent, r.oldName, two))
}

// exchanged returns what a name stands for, unless it cannot go to another directory
// because that lies in it.
func (r renaming) exchanged(c *change, parent Ino, name string, to Ino) (index.Inode, error) {
	ino, err := c.Lookup(parent, name)
	if err != nil {
		return index.Inode{}, notExist(err)
	}
	n, err := c.Inode(ino)
	if err != nil || n.Dir == nil {
		return n, notExist(err)
	}
	inside, err := below(c, to, ino)
	if err == nil && inside {
		err = ErrInvalid
	}
	return n, err
}
