package vfs

import (
	"time"

	"objvol/fusefs/index"
)

// Ino is an inode number; it is FUSE's node id too.
type Ino = index.Ino

// Root is the root directory's inode.
const Root = index.Root

// Attr are an inode's attributes as stat(2) shows them.
type Attr struct {
	Ino    Ino
	Mode   uint32 // st_mode, type bits included
	Nlink  uint32
	UID    uint32
	GID    uint32
	Rdev   uint32
	Size   int64 // bytes
	Blocks int64 // of 512 bytes
	Atime  time.Time
	Mtime  time.Time
	Ctime  time.Time
}

// Entry is the answer to a lookup: an inode and how long the kernel may remember it.
type Entry struct {
	Attr
	EntryTTL time.Duration // of the name
	AttrTTL  time.Duration // of the attributes
}

// Caller is the process on whose behalf an operation is done.
type Caller struct {
	UID   uint32
	GID   uint32
	Umask uint32 // told where something is created
	// Thread is the number of its thread, 0 where that is not known.
	Thread uint32
	// InGroup reports whether a group is among its supplementary ones; nil for none. It
	// is asked only where that matters.
	InGroup func(gid uint32) bool
}

// SetAttr says which attributes to change; nil fields stay. A Handle other than 0 is
// the open file through which ftruncate(2) came.
type SetAttr struct {
	Mode   *uint32 // permission bits, type bits are ignored
	UID    *uint32
	GID    *uint32
	Size   *int64
	Atime  *time.Time
	Mtime  *time.Time
	Ctime  *time.Time
	Handle uint64
	// KillPriv drops setuid, setgid and file capabilities, as chown and writes by others
	// demand.
	KillPriv bool
	// Unasked: nothing was asked for, which is chown(2) with neither owner nor group, or
	// a write that the kernel kept to itself. KillPriv is set too.
	Unasked bool
}

// DirEntry is one name that ReadDir reports.
type DirEntry struct {
	Name   string
	Ino    Ino
	Type   uint32 // S_IFMT bits, 0 where it is not known without a request
	Cookie uint64 // where reading goes on after this name
	// Entry is the inode as Lookup would answer it; nil for "." and "..", where names alone
	// were asked for, and where the kernel knows it.
	Entry *Entry
}

// OpenResult tells the kernel how to treat an open file.
type OpenResult struct {
	// KeepCache: the content is what it was at the last open, so are the kernel's pages.
	KeepCache bool
	// Backing is the content file that the kernel reads and writes itself (Passer.Register);
	// 0 where reads and writes come to us.
	Backing int32
	// Direct: reads and writes through this handle come to us, past the kernel's pages, also
	// where other handles have Backing; what is mapped does not.
	Direct bool
	// NoFlush: a close of the handle has nothing to say, and need not be told.
	NoFlush bool
}

// Statfs are the numbers of statfs(2).
type Statfs struct {
	BlockSize  uint32
	Blocks     uint64
	BlocksFree uint64
	Files      uint64
	FilesFree  uint64
	NameMax    uint32
}

// Notifier tells the kernel that what it remembers is out of date. It is implemented
// by the FUSE front and called with no lock held, but for PagesChanged by one worker.
type Notifier interface {
	// EntryChanged expires a name (never detaching mounts on it: hard-cases 12).
	EntryChanged(parent Ino, name string)
	// InodeChanged drops an inode's attributes and cached pages.
	InodeChanged(ino Ino)
	// PagesChanged drops an inode's attributes, also those that it is about to be told, and
	// its cached pages of n bytes from off; none if that is negative. It waits for reads of
	// them that are under way, and with AllowPast for what was stored into them.
	PagesChanged(ino Ino, off, n int64)
}
