package writeback

import (
	"context"
	"io"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// Files is what the write-back needs of the filesystem above it.
type Files interface {
	// Open returns the content of a regular file as it is now. Of what is not on this host,
	// that in the ranges which need names is fetched first; the rest cannot be read. need is
	// pure but for what it remembers of its last call, which is about the very state that is
	// returned; it must not block. With private set the content is a copy that later writes
	// do not reach.
	Open(ctx context.Context, ino index.Ino, private bool, need Need) (Content, error)
	// Part opens a range of a regular file that is being written, all of it on this host, if
	// its content is of a generation. It is read while the file may be written to.
	Part(ino index.Ino, gen uint64, r extent.Range) (Part, error)
	// Replaced reports, after the commit, that the bucket has another content for an
	// inode: the content file of the given generation is of no use any more.
	Replaced(ino index.Ino, file uint64)
	// Passed reports whether programs use an inode's content file itself, or may: no other
	// content takes its place then. It is asked inside index.Update.
	Passed(ino index.Ino) bool
	// EntryChanged reports that a name means something else than before.
	EntryChanged(parent index.Ino, name string)
	// Landed reports that the bucket now holds an inode's content.
	Landed(ino index.Ino)
	// Failed reports that an inode could not be written: the error belongs to the next
	// fsync or close of each of its handles.
	Failed(ino index.Ino, err error)
}

// Part is an open range of a file.
type Part interface {
	io.ReaderAt
	io.Closer
}

// Need says which ranges of a content are wanted, ascending.
type Need func(n index.Inode, c index.Content) []extent.Range

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
