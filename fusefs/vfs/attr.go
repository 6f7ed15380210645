package vfs

import (
	"context"
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// The permission bits of st_mode.
const (
	permMask = 0o7777
	setUID   = 0o4000
	setGID   = 0o2000
	groupX   = 0o0010
)

func isRegular(n index.Inode) bool { return n.Mode&layout.TypeMask == layout.TypeRegular }
func isSymlink(n index.Inode) bool { return n.Mode&layout.TypeMask == layout.TypeSymlink }

// attrOf shows an inode as stat(2) does.
func attrOf(n index.Inode) Attr {
	return Attr{
		Ino: n.Ino, Mode: n.Mode, Nlink: n.Nlink, UID: n.UID, GID: n.GID, Rdev: n.Rdev,
		Size: n.Size, Blocks: (n.Size + 511) / 512, Atime: n.Atime, Mtime: n.Mtime, Ctime: n.Ctime,
	}
}

// GetAttr returns an inode's attributes and how long they may be remembered.
func (fs *FS) GetAttr(ctx context.Context, ino Ino) (Attr, time.Duration, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return Attr{}, 0, err
	}
	return attrOf(n), fs.attrTTL(n), nil
}

// SetAttr changes attributes, the size among them.
func (fs *FS) SetAttr(ctx context.Context, ino Ino, set SetAttr, _ Caller) (Attr, time.Duration, error) {
	if fs.ReadOnly {
		return Attr{}, 0, ErrReadOnly
	}
	if _, err := fs.known(ctx, ino); err != nil {
		return Attr{}, 0, err
	}
	if set.Size != nil {
		if err := fs.truncate(ino, *set.Size); err != nil {
			return Attr{}, 0, err
		}
	}
	var n index.Inode
	err := fs.change(func(c *change) error {
		var err error
		if n, err = c.Inode(ino); err != nil {
			return notExist(err)
		}
		if !apply(&n, set, c.now) {
			return nil
		}
		n.AttrGen++
		return c.put(n, settleFile)
	})
	return attrOf(n), fs.attrTTL(n), err
}

// apply sets the given attributes and reports whether there were any but the size.
func apply(n *index.Inode, set SetAttr, now time.Time) bool {
	changed := false
	if set.Mode != nil {
		n.Mode = n.Mode&layout.TypeMask | *set.Mode&permMask
		changed = true
	}
	if set.UID != nil {
		n.UID = *set.UID
		changed = true
	}
	if set.GID != nil {
		n.GID = *set.GID
		changed = true
	}
	if set.Atime != nil {
		n.Atime = *set.Atime
		changed = true
	}
	if set.Mtime != nil {
		n.Mtime = *set.Mtime
		changed = true
	}
	if set.KillPriv {
		changed = killPriv(n) || changed
	}
	if changed {
		n.Ctime = now
	}
	if set.Ctime != nil {
		n.Ctime = *set.Ctime
		changed = true
	}
	return changed
}

// killPriv drops setuid, and setgid where it means a set group, and reports whether
// there was anything to drop.
func killPriv(n *index.Inode) bool {
	old := n.Mode
	if n.Dir != nil {
		return false
	}
	n.Mode &^= setUID
	if n.Mode&groupX != 0 {
		n.Mode &^= setGID
	}
	return n.Mode != old
}

// Readlink returns a symlink's target.
func (fs *FS) Readlink(ctx context.Context, ino Ino) (string, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return "", err
	}
	if !isSymlink(n) {
		return "", ErrInvalid
	}
	if n.Target != "" || n.Size == 0 {
		return n.Target, nil
	}
	return fs.fetchTarget(ctx, n)
}

// fetchTarget reads the target of a symlink that was imported, and keeps it.
func (fs *FS) fetchTarget(ctx context.Context, n index.Inode) (string, error) {
	target, err := fs.readObject(ctx, n, 0, n.Size)
	if err != nil {
		return "", err
	}
	err = fs.change(func(c *change) error {
		now, err := c.Inode(n.Ino)
		if err != nil {
			return notExist(err)
		}
		if now.Gen != n.Gen || !isSymlink(now) {
			return errAgain
		}
		now.Target = string(target)
		return c.PutInode(now)
	})
	if errors.Is(err, errAgain) {
		return fs.Readlink(ctx, n.Ino)
	}
	return string(target), err
}

// errAgain ends a transaction whose premises no longer hold.
var errAgain = errors.New("changed meanwhile")

// StatFS returns numbers that let every program write: the store has no end that it
// would tell.
func (fs *FS) StatFS(context.Context) (Statfs, error) {
	const block, blocks, files = 4096, 1 << 38, 1 << 40 // 1 PiB
	return Statfs{
		BlockSize: block, Blocks: blocks, BlocksFree: blocks,
		Files: files, FilesFree: files, NameMax: 255,
	}, nil
}
