package writeback

import (
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// attrOf returns the attributes of an inode that its object carries.
func attrOf(n index.Inode) layout.Attr {
	return layout.Attr{
		Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev, Xattrs: n.Xattrs, Link: n.Link,
		Atime: n.Atime, Mtime: n.Mtime, Ctime: n.Ctime,
	}
}

// SetAttr gives an inode the attributes that an object carries.
func SetAttr(n *index.Inode, a layout.Attr) {
	n.Mode, n.UID, n.GID, n.Rdev, n.Xattrs = a.Mode, a.UID, a.GID, a.Rdev, a.Xattrs
	n.Atime, n.Mtime, n.Ctime = a.Atime, a.Mtime, a.Ctime
}

// Fits reports, by layout.ErrTooLarge, that an inode's object could not carry the
// attributes beside the metadata of others that is on it.
func Fits(r Reader, n index.Inode) error {
	var foreign index.Foreign
	if n.Placed != "" {
		k, _, err := r.Key(n.Placed)
		if err != nil {
			return err
		}
		foreign = k.Foreign
	}
	return layout.Fits(attrOf(n), layout.Foreign(foreign))
}
