package writeback

import (
	"context"
	"io"

	"objvol/fusefs/index"
)

// Files is what the write-back needs of the filesystem above it.
type Files interface {
	// Open returns the whole content of a regular file as it is now; what is not on this
	// host is fetched first. With private set it is a copy that later writes do not
	// reach.
	Open(ctx context.Context, ino index.Ino, private bool) (Content, error)
	// Replaced reports, after the commit, that the bucket has another content for an
	// inode: the content file of the given generation is of no use any more.
	Replaced(ino index.Ino, file uint64)
	// EntryChanged reports that a name means something else than before.
	EntryChanged(parent index.Ino, name string)
	// Landed reports that the bucket now holds an inode's content.
	Landed(ino index.Ino)
	// Failed reports that an inode could not be written: the error belongs to the next
	// fsync or close of each of its handles.
	Failed(ino index.Ino, err error)
}

// Content is a regular file's content at one moment.
type Content interface {
	io.ReaderAt
	io.Closer
	// Size is its length in bytes.
	Size() int64
	// Gen is its generation (index.Inode.Gen).
	Gen() uint64
	// Changed reports whether somebody wrote since Open, so that what was read may be
	// of two moments, or removed the file's last name.
	Changed() bool
}
