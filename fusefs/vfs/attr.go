package vfs

import (
	"context"
	"errors"
	"math"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// The permission bits of st_mode.
const (
	permMask = 0o7777
	setUID   = 0o4000
	setGID   = 0o2000
	groupW   = 0o0020
	groupX   = 0o0010
	otherW   = 0o0002
)

func isRegular(n index.Inode) bool { return n.Mode&layout.TypeMask == layout.TypeRegular }
func isSymlink(n index.Inode) bool { return n.Mode&layout.TypeMask == layout.TypeSymlink }

// attrOf shows an inode as stat(2) does.
func (fs *FS) attrOf(n index.Inode) Attr {
	return Attr{
		Ino: n.Ino, Mode: n.Mode, Nlink: n.Nlink, UID: n.UID, GID: n.GID, Rdev: n.Rdev,
		Size: n.Size, Blocks: fs.blocks(n), Atime: n.Atime, Mtime: n.Mtime, Ctime: n.Ctime,
	}
}

// attr is attrOf with a directory's links: its name, its "." and the ".." of every
// directory in it. Of one that is not listed they are not known: 1 tells find(1) and its
// like not to conclude from them.
func (fs *FS) attr(n index.Inode) (Attr, error) {
	if fs.mayBePassed(n) {
		// Also if it is not passed now: its last release may have come after n was read, and
		// the index has then what was done to it.
		var err error
		if err = fs.catchUp(n.Ino); err == nil {
			n, err = fs.Index.Inode(n.Ino)
		}
		if err != nil {
			return Attr{}, notExist(err)
		}
	}
	fs.outrun(n.Ino)
	a := fs.attrOf(n)
	if n.Dir == nil || n.Nlink == 0 || !n.Dir.Listed {
		return a, nil
	}
	count, err := fs.Index.Subdirs(n.Ino)
	a.Nlink = uint32(min(2+count, math.MaxUint32))
	return a, err
}

// GetAttr returns an inode's attributes and how long they may be remembered.
func (fs *FS) GetAttr(ctx context.Context, ino Ino) (Attr, time.Duration, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return Attr{}, 0, err
	}
	a, err := fs.attr(n)
	return a, fs.attrTTL(n), err
}

// SetAttr changes attributes, the size among them.
func (fs *FS) SetAttr(ctx context.Context, ino Ino, set SetAttr, who Caller) (Attr, time.Duration, error) {
	if fs.ReadOnly {
		return Attr{}, 0, ErrReadOnly
	}
	if _, err := fs.known(ctx, ino); err != nil {
		return Attr{}, 0, err
	}
	// What was written before has its time before this.
	if err := fs.catchUp(ino); err != nil {
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
		if without := n; set.Unasked && killPriv(&without, who) && !fs.mayDrop(n, who) {
			return ErrNotPermitted
		}
		if !apply(&n, set, who, c.now) {
			return nil
		}
		n.AttrGen++
		return c.put(n, settleFile)
	})
	if err == nil && set.Atime != nil {
		err = fs.unread(ino)
	}
	if err != nil {
		return Attr{}, 0, err
	}
	a, err := fs.attr(n)
	return a, fs.attrTTL(n), err
}

// apply sets the given attributes and reports whether there were any but the size.
func apply(n *index.Inode, set SetAttr, who Caller, now time.Time) bool {
	changed := set.Unasked
	if set.KillPriv {
		changed = killPriv(n, who) || changed
	}
	if set.Mode != nil {
		n.Mode = n.Mode&layout.TypeMask | *set.Mode&permMask
		chmodACL(n)
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
		n.Atime = clamp(*set.Atime)
		changed = true
	}
	if set.Mtime != nil {
		n.Mtime = clamp(*set.Mtime)
		changed = true
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

// The first and the last second that a file can carry: ext4's, in 1901 and 2446.
const (
	timeMin = -1 << 31
	timeMax = 1<<34 - 1<<31 - 1
)

// clamp brings a time into the range that files can carry, as the kernel does for a local
// filesystem.
func clamp(t time.Time) time.Time {
	if sec := t.Unix(); sec < timeMin || sec > timeMax {
		return time.Unix(min(max(sec, timeMin), timeMax), 0)
	}
	return t
}

// Readlink returns a symlink's target.
func (fs *FS) Readlink(ctx context.Context, ino Ino) (string, error) {
	for range fetchTries {
		n, err := fs.known(ctx, ino)
		if err != nil {
			return "", err
		}
		if !isSymlink(n) {
			return "", ErrInvalid
		}
		fs.accessed(ino)
		if n.Target != "" || n.Size == 0 {
			return n.Target, nil
		}
		if target, err := fs.fetchTarget(ctx, n); !errors.Is(err, errAgain) {
			return target, err
		}
	}
	return "", ErrStale
}

// fetchTarget reads the target of a symlink that was imported, and keeps it. Its error is
// errAgain where the object is another than it was.
func (fs *FS) fetchTarget(ctx context.Context, n index.Inode) (string, error) {
	target, err := fs.readObject(ctx, n, 0, n.Size)
	if isChangedThere(err) {
		if err := fs.changedThere(ctx, n, index.Content{}, err); err != nil {
			return "", err
		}
		return "", errAgain
	}
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
	return string(target), err
}

// errAgain ends a transaction whose premises no longer hold.
var errAgain = errors.New("changed meanwhile")
