package vfs

import (
	"time"

	"objvol/fusefs/index"
)

// Access times follow relatime: a read sets one that is no younger than the file's other
// times, or a day old. So most reads set none, and each one that does is a transaction of
// the index, but no upload: the bucket hears of it with the inode's next change. It does not
// wait for another transaction, because a process that is killed would lose it; with git it
// is half a percent of the work (2,341 of 10 µs beside 4.65 s).
//
// READ, READDIR and READLINK count, and the access time of a content file that the kernel
// reads itself. What the kernel reads from its own pages does not
// reach us; so who opens a file for reading while its access time is due does not find
// small files there (see Open). A larger one may keep an older access time.

const (
	// relatime is how old an access time may become.
	relatime = 24 * time.Hour
	// rereadMost is how large a file may be, in bytes, to be asked for again although the
	// kernel has its pages, so that its access time becomes right.
	rereadMost = 4 << 20
)

// accessDue reports whether a read sets an inode's access time. What is not known of it
// cannot be compared.
func accessDue(n index.Inode, now time.Time) bool {
	return !n.Vague && (!n.Atime.After(n.Mtime) || !n.Atime.After(n.Ctime) || now.Sub(n.Atime) >= relatime)
}

// accessed notes that an inode was read. It fails no read: that the time could not be
// kept is seen at the next change.
func (fs *FS) accessed(ino Ino) { fs.accessedAt(ino, coarseNow()) }

func (fs *FS) accessedAt(ino Ino, now time.Time) {
	if n, err := fs.Index.Inode(ino); err != nil || fs.ReadOnly || !accessDue(n, now) {
		return
	}
	err := fs.Index.Update(func(tx *index.Tx) error {
		n, err := tx.Inode(ino)
		if err != nil || !accessDue(n, now) {
			return notExist(err)
		}
		n.Atime = now
		return tx.PutTimes(n)
	})
	if err != nil {
		fs.Log.Debug("an access time was not kept", "inode", uint64(ino), "error", err)
	}
}

// reread reports whether a file that is opened must be read from us, not from the
// kernel's pages, because its access time is due. Only what is on this host is.
func (fs *FS) reread(n index.Inode, flags uint32) bool {
	if fs.ReadOnly || flags&accessMode != readOnly || flags&openNoAtime != 0 ||
		n.Size > rereadMost || !accessDue(n, coarseNow()) {
		return false
	}
	c, err := fs.Index.Content(n.Ino)
	return err == nil && len(c.Absent(0, n.Size)) == 0
}
