// Package layout knows how a tree of files lies in a bucket: which key belongs to which
// path, and how an inode's attributes are written as an object's metadata. It is pure:
// no clock, no network, no locks.
//
// # Keys
//
// A volume lies at a prefix of the bucket, which is empty or ends in "/".
//
//	<prefix>a/b    a file, a symlink or a special file at path a/b
//	<prefix>a/     the marker of directory a; a directory can exist without one
//	<prefix>       the marker of the root
//
// Names are bytes, keys are not: a component of a path is escaped by [Escape], which
// changes only names that some store or client refuses. Such bytes are written "%~" and
// two upper-case hexadecimal digits. They are
//
//   - bytes that are not UTF-8, and "/" (in records only);
//   - characters that XML cannot carry: control characters but tab, newline and carriage
//     return, U+FFFE and U+FFFF. Some stores list them as U+FFFD (versitygw), with others
//     the listing cannot be read;
//   - the first dot of "." and "..", also between backslashes and behind blanks, where
//     MinIO looks for them: ". ", `a\..`;
//   - the first character of a name of nothing but blanks;
//   - the last byte of a name that ends in "__XLDIR__", which MinIO lists as a directory;
//   - the first of ".sgwtmp", which is versitygw's own;
//   - the "%" of what would otherwise read as an escape.
//
// Newlines, backslashes, blanks, "%", "+", "#", "?" and all letters stay as they are.
// [Unescape] goes back, and refuses components that no name is escaped to, so that keys
// and names correspond one to one. What it refuses is [Hidden] with the reason: keys that
// other tools made and a filesystem cannot show.
//
// # Overflow form
//
// A component of a key has at most [MaxName] bytes, a marker's last one [MaxDirName], and
// a key 1,024. What does not fit lies beside the volume instead, one object as everywhere:
//
//	.objvol/volumes/<escaped prefix>/long/<directory>/<name>     a file
//	.objvol/volumes/<escaped prefix>/long/<directory>/<name>/    a directory's marker
//
// <directory> is the SHA-256 of the key of the directory's marker, relative to the volume,
// in hexadecimal digits; <name> is the escaped name or, where that does not fit into a
// component, "%~2F" and the name's bytes in hexadecimal digits, cut into components. So the
// key of a path is worked out from the path alone, a listing of long/<directory>/ shows the
// names of one directory without a look at any object, and no request has to change two
// objects. From the key alone the path cannot be worked out: whoever wants it walks down from
// the root, with [Layout.LongBelow] of each marker. That is why a directory with such names
// has its marker, always.
//
// Only what does not fit is in overflow form: below a directory whose name has 250 bytes,
// which has its marker there, files are plain. Below one whose escaped name has more than
// 255, or whose key has no room left, nothing is.
//
// # Records
//
// Everything of ours that is not a file lies beside the volumes, at the top of the bucket:
//
//	.objvol/volumes/<escaped prefix>/volume.json    Definition
//	                                 lease          which host holds the volume
//	                                 links/<group>  how many names a hard link has
//	                                 long/          names in overflow form
//	                                 moving/<inode> content between two keys
//	                                 orphans/<inode> content of open files without a key
//	                                 probe/         trials of what the store can do
//	                                 root/          the root's marker at an empty prefix
//
// A volume at the empty prefix has them inside; there .objvol is hidden and reserved.
//
// # Metadata
//
// Attributes are written as s3fs writes them, because most tools read that: mode
// (decimal st_mode with its type), uid, gid, rdev, and times in seconds with nine digits
// of nanoseconds; extended attributes are one text (xattr.go). Read as well are octal modes, the file-* names of AWS's tools, and the
// times of rclone and geesefs. AWS's names are dropped when the object is rewritten: left
// alone they would contradict the names that we write. All other metadata, and the standard
// headers, are [Foreign] and kept.
//
// Lineage, under objvol-gen, says which of our writes made the object.
//
// Hard links are a full object under each name. All carry the name of their group under
// objvol-link; the group's record, an object without content, carries it too, how many
// names there are (objvol-links), and in its lineage the newest generation (hard-cases 29).
package layout
