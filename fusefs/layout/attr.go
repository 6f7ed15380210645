package layout

import "time"

// Attr are the attributes of an inode as an object carries them.
type Attr struct {
	Mode uint32 // st_mode, type bits included
	UID  uint32
	GID  uint32
	Rdev uint32 // of devices, as stat(2) gives it
	// Xattrs are the extended attributes by their full names; nil for none.
	Xattrs map[string]string
	// Link is the group of hard links that the object is in, empty for none. In the group's
	// record Links is how many names the group has. LinkGen is the generation that the
	// lineage of such an object tells: it is read only.
	Link    string
	Links   uint32
	LinkGen uint64
	// The times; a zero one is not written to the bucket. Atime is written only when
	// the caller wants it there. Decode never leaves one zero unless LastModified is.
	Atime time.Time
	Mtime time.Time
	Ctime time.Time
}

// Defaults are the attributes of objects that say nothing about themselves.
type Defaults struct {
	UID      uint32
	GID      uint32
	FileMode uint32 // permission bits
	DirMode  uint32 // permission bits
}

// Foreign are the headers and the user metadata of an object that are not ours and are
// kept when it is rewritten (hard-cases 27). Its fields are those of the index's record,
// in the same order, so that one converts into the other.
type Foreign struct {
	ContentType string
	Headers     map[string]string
	Metadata    map[string]string
}

// The type bits of st_mode, the same on every Linux.
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeSymlink = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFifo    = 0o010000
	permMask    = 0o7777
)

// maxTarget is the longest target of a symlink, in bytes.
const maxTarget = 4095

// Names of user metadata. The first group is s3fs's, written and read; the second is
// that of AWS's own tools, read only.
const (
	metaMode  = "mode"
	metaUID   = "uid"
	metaGID   = "gid"
	metaRdev  = "rdev"
	metaAtime = "atime"
	metaMtime = "mtime"
	metaCtime = "ctime"
	metaXattr = "xattr"
	metaGen   = "objvol-gen"
	metaLink  = "objvol-link"
	metaLinks = "objvol-links"

	awsPermissions = "file-permissions"
	awsOwner       = "file-owner"
	awsGroup       = "file-group"
	awsAtime       = "file-atime"
	awsMtime       = "file-mtime"
)

// attributeNames are the metadata that Decode turns into attributes, so that they are
// nobody's foreign metadata. Extended attributes are, too, but where they cannot be read.
var attributeNames = map[string]bool{
	metaMode: true, metaUID: true, metaGID: true, metaRdev: true,
	metaAtime: true, metaMtime: true, metaCtime: true, metaGen: true,
	metaLink: true, metaLinks: true,
	awsPermissions: true, awsOwner: true, awsGroup: true, awsAtime: true, awsMtime: true,
}

// The content types that say no more than the key does.
const (
	octetStream = "application/octet-stream"
	xDirectory  = "application/x-directory"
)
