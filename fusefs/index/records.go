package index

import "time"

// Ino is an inode number: handed out once, never reused, stable over restarts. It is
// also FUSE's node id.
type Ino uint64

// Root is the inode of a volume's root directory.
const Root Ino = 1

// Inode is what the host knows of one file, directory, symlink or special file.
type Inode struct {
	Ino   Ino
	Mode  uint32 // st_mode, type bits included
	UID   uint32
	GID   uint32
	Rdev  uint32
	Nlink uint32 // names; 0 is unlinked, kept until its last close
	Size  int64  // bytes; of a symlink the length of its target
	Atime time.Time
	Mtime time.Time
	Ctime time.Time

	Target string // of a symlink

	// Xattrs are the extended attributes by their full names; nil for none.
	Xattrs map[string]string

	// Link is the group of hard links that the inode is in, empty where there is none, and
	// Record the member that stands for the group's record in the bucket: see members.go.
	Link   string
	Record Ino
	// Of is, in a member, the inode that it belongs to; 0 in all others.
	Of Ino

	// Gen counts the changes of content that the bucket must follow: it rises with the
	// first write after the content was last seen in the bucket.
	Gen uint64
	// AttrGen counts the changes of attributes in the same way.
	AttrGen uint64

	// Placed is the key under which the bucket holds this inode, empty when it holds
	// nothing of it. PlacedGen and PlacedAttrGen are what it holds there.
	Placed        string
	PlacedGen     uint64
	PlacedAttrGen uint64
	// Sending is the key to which a write of this inode was sent and not yet known to be
	// done or refused; it may differ from Placed. Empty when there is none.
	Sending string

	// Vague says that only a listing without metadata was seen: mode, owner, times and
	// even the type await a Head.
	Vague bool

	// Dir is a directory's state of listing; nil in everything else.
	Dir *Dir
}

// Dir says how much of a directory the index knows.
type Dir struct {
	// Listed: the index holds every name; a name that is not there does not exist.
	Listed bool
	// ListedAt is when the last complete listing was asked for, Took how long it was.
	ListedAt time.Time
	Took     time.Duration
}

// Dirent is a name in a directory. Its cookie is its place in the directory's order:
// given at creation, never reused, so that reading can go on after any of them.
type Dirent struct {
	Name   string
	Ino    Ino
	Cookie uint64
}

// Name is one place where an inode is entered.
type Name struct {
	Parent Ino
	Name   string
}

// Key is what the bucket holds under one key, as far as this host knows (hard-cases 8).
type Key struct {
	Key          string
	ETag         string
	LastModified time.Time
	Size         int64
	// Owner is the inode whose content lies here; 0 when nobody's does any more.
	Owner Ino
	// Gone: the key holds nothing; the record stays only for its Request.
	Gone bool
	// Request is the nonce of a write that was sent and not yet known to be done or
	// refused; empty when there is none. It is stored before the request is sent, so
	// that a lost answer can be recognised (hard-cases 6).
	Request string
	// Foreign is what other programs put on the object and we keep (hard-cases 27).
	Foreign Foreign
	// Bare: only a listing was seen, which shows no headers. They are asked for before
	// the object is written again.
	Bare bool
	// At is the place of the name that the key stands for, where the key does not tell its
	// path (the layout's overflow form). Zero for other keys, and where it is not known.
	At Name
}

// Foreign are the headers and the user metadata of an object that are not ours.
type Foreign struct {
	ContentType string
	Headers     map[string]string
	Metadata    map[string]string
}

// Upload is a multipart upload to a key. A store tells nobody of those that were begun.
type Upload struct {
	ID  string
	Key string
}
