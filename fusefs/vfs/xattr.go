package vfs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
)

// The attributes that mean something to the kernel.
const (
	xattrAccessACL  = "system.posix_acl_access"
	xattrDefaultACL = "system.posix_acl_default"
	xattrCapability = "security.capability"
	xattrTrusted    = "trusted."
	xattrUser       = "user."
)

// XattrFlags say when SetXattr refuses. Their numbers are those of setxattr(2).
type XattrFlags uint32

// What SetXattr can be told.
const (
	XattrCreate  XattrFlags = 1 << iota // ErrExist for an attribute that exists
	XattrReplace                        // ErrNoXattr for one that does not
)

// GetXattr returns an extended attribute. Errors: ErrNoXattr; ErrNotSupported and
// ErrInvalid for names that no attribute has.
func (fs *FS) GetXattr(ctx context.Context, ino Ino, name string) (string, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return "", err
	}
	if err := xattrName(name); err != nil {
		return "", err
	}
	value, ok := n.Xattrs[name]
	if !ok || !believed(name, value) {
		return "", ErrNoXattr
	}
	return value, nil
}

// ListXattr returns the names of the extended attributes, those of the namespace trusted
// to root only.
func (fs *FS) ListXattr(ctx context.Context, ino Ino, who Caller) ([]string, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(n.Xattrs)) {
		hidden := strings.HasPrefix(name, xattrTrusted) && who.UID != 0
		if !hidden && xattrName(name) == nil && believed(name, n.Xattrs[name]) {
			names = append(names, name)
		}
	}
	return names, nil
}

// SetXattr sets an extended attribute. An access control list changes the mode too, and
// is not kept where the mode says the same; dropSetGID is the kernel's word that the
// caller may not keep the bit. Errors: those of XattrCreate and XattrReplace; ErrNoSpace
// for what the object could not carry (hard-cases 32); ErrNotPermitted for an attribute
// of a user on what is neither file nor directory; ErrInvalid for no list.
func (fs *FS) SetXattr(ctx context.Context, ino Ino, name, value string, flags XattrFlags, dropSetGID bool) error {
	if err := xattrName(name); err != nil {
		return err
	}
	return fs.changeXattrs(ctx, ino, func(n *index.Inode) error {
		_, exists := n.Xattrs[name]
		switch {
		case strings.HasPrefix(name, xattrUser) && !isRegular(*n) && n.Dir == nil:
			return ErrNotPermitted
		case exists && flags&XattrCreate != 0:
			return ErrExist
		case !exists && flags&XattrReplace != 0:
			return ErrNoXattr
		case isACL(name):
			return setACL(n, name, value, dropSetGID)
		}
		setXattr(n, name, value)
		return nil
	})
}

// RemoveXattr removes an extended attribute. Errors: ErrNoXattr; an access control list
// may be missing.
func (fs *FS) RemoveXattr(ctx context.Context, ino Ino, name string) error {
	if err := xattrName(name); err != nil {
		return err
	}
	err := fs.changeXattrs(ctx, ino, func(n *index.Inode) error {
		if !removeXattr(n, name) {
			return ErrNoXattr
		}
		return nil
	})
	if isACL(name) && errors.Is(err, ErrNoXattr) {
		return nil // a list that is not there can be removed, which changes nothing
	}
	return err
}

// changeXattrs changes an inode's extended attributes, if its object can carry them.
func (fs *FS) changeXattrs(ctx context.Context, ino Ino, apply func(n *index.Inode) error) error {
	if fs.ReadOnly {
		return ErrReadOnly
	}
	if _, err := fs.known(ctx, ino); err != nil {
		return err
	}
	return fs.change(func(c *change) error {
		n, err := c.Inode(ino)
		if err != nil {
			return notExist(err)
		}
		if err := apply(&n); err != nil {
			return err
		}
		if err := carries(c, n); err != nil {
			return err
		}
		n.Ctime = c.now
		n.AttrGen++
		return c.put(n, settleFile)
	})
}

// carries checks that an inode's object has room for its attributes.
func carries(r writeback.Reader, n index.Inode) error {
	if len(n.Xattrs) == 0 {
		return nil
	}
	err := writeback.Fits(r, n)
	if errors.Is(err, layout.ErrTooLarge) {
		return errors.Join(ErrNoSpace, err)
	}
	return err
}

// xattrName checks a name as ext4 does. The length is the kernel's to check.
func xattrName(name string) error {
	if isACL(name) {
		return nil
	}
	for _, namespace := range []string{xattrUser, xattrTrusted, "security."} {
		if rest, ok := strings.CutPrefix(name, namespace); ok {
			if rest == "" {
				return ErrInvalid
			}
			return nil
		}
	}
	return ErrNotSupported
}

func isACL(name string) bool { return name == xattrAccessACL || name == xattrDefaultACL }

// believed reports whether an attribute is fit for the kernel: with a list that it cannot
// read, a file could not be opened by anyone.
func believed(name, value string) bool {
	_, ok := parseACL(value)
	return ok || !isACL(name)
}

// setXattr sets one attribute of an inode. The map may be shared, and is not changed.
func setXattr(n *index.Inode, name, value string) {
	xattrs := make(map[string]string, len(n.Xattrs)+1)
	maps.Copy(xattrs, n.Xattrs)
	xattrs[name] = value
	n.Xattrs = xattrs
}

// removeXattr removes one attribute of an inode and reports whether there was one.
func removeXattr(n *index.Inode, name string) bool {
	if _, ok := n.Xattrs[name]; !ok {
		return false
	}
	xattrs := maps.Clone(n.Xattrs)
	delete(xattrs, name)
	if n.Xattrs = xattrs; len(xattrs) == 0 {
		n.Xattrs = nil
	}
	return true
}

// setACL sets an access control list. The access list decides the mode, and is kept only
// where it says more.
func setACL(n *index.Inode, name, value string, dropSetGID bool) error {
	a, ok := parseACL(value)
	switch {
	case isSymlink(*n):
		return ErrNotSupported
	case !ok:
		return ErrInvalid
	case name == xattrDefaultACL && n.Dir == nil:
		return ErrAccess
	case name == xattrDefaultACL:
		setXattr(n, name, a.String())
		return nil
	}
	var equivalent bool
	if n.Mode, equivalent = a.mode(n.Mode); equivalent {
		removeXattr(n, name)
	} else {
		setXattr(n, name, a.String())
	}
	if dropSetGID {
		n.Mode &^= setGID
	}
	return nil
}

// chmodACL lets an inode's access control list follow its mode.
func chmodACL(n *index.Inode) {
	if a, ok := parseACL(n.Xattrs[xattrAccessACL]); ok {
		setXattr(n, xattrAccessACL, a.chmod(n.Mode).String())
	}
}

// inheritACL gives a new inode what the default list of its directory says, or else takes
// the bits of the umask from its mode. Symlinks have neither.
func inheritACL(n *index.Inode, dir index.Inode, umask uint32) {
	if isSymlink(*n) {
		return
	}
	inherited, ok := parseACL(dir.Xattrs[xattrDefaultACL])
	if !ok {
		n.Mode &^= umask & 0o777
		return
	}
	own, mode := inherited.inherit(n.Mode)
	n.Mode = mode
	if _, equivalent := own.mode(mode); !equivalent {
		setXattr(n, xattrAccessACL, own.String())
	}
	if n.Dir != nil {
		setXattr(n, xattrDefaultACL, inherited.String())
	}
}
