package vfs

import (
	"context"

	"objvol/fusefs/index"
)

// DropPriv takes setuid, setgid and file capabilities from a file before somebody without
// CAP_FSETID writes to it.
func (fs *FS) DropPriv(ctx context.Context, ino Ino, who Caller) error {
	n, err := fs.Index.Inode(ino)
	if err != nil || !privileged(n) {
		return notExist(err)
	}
	_, _, err = fs.SetAttr(ctx, ino, SetAttr{KillPriv: true}, who)
	return err
}

// privileged reports whether an inode has what writing and chown(2) drop.
func privileged(n index.Inode) bool {
	_, capable := n.Xattrs[xattrCapability]
	return n.Dir == nil && (capable || n.Mode&(setUID|setGID) != 0)
}

// killPriv drops file capabilities, setuid, and setgid where it means a set group or the
// caller is not of the file's group. It reports whether there was anything to drop. Directories keep both.
func killPriv(n *index.Inode, who Caller) bool {
	old := n.Mode
	if !privileged(*n) {
		return false
	}
	n.Mode &^= setUID
	if n.Mode&groupX != 0 || who.UID != 0 && !who.member(n.GID) {
		n.Mode &^= setGID
	}
	return removeXattr(n, xattrCapability) || n.Mode != old
}

// mayDrop reports whether someone may drop these bits without asking for anything else:
// by chown(2) the owner, by a write through an open file anybody, because it may have been
// opened by another user. The request is the same for both.
func (fs *FS) mayDrop(n index.Inode, who Caller) bool {
	return who.UID == 0 || who.UID == n.UID || fs.isWritten(n.Ino)
}

// member reports whether a caller is of a group.
func (who Caller) member(gid uint32) bool {
	return who.GID == gid || who.InGroup != nil && who.InGroup(gid)
}
