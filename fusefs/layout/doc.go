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
// A component of a key has at most [MaxName] bytes, a marker's last one [MaxDirName], and
// a key 1,024. Longer names are ErrNameTooLong. The overflow form of such names, a hidden
// record under the hash of the path, is not part of this package yet.
//
// # Records
//
// Everything of ours that is not a file lies beside the volumes, at the top of the bucket:
//
//	.objvol/volumes/<escaped prefix>/volume.json    Definition
//	                                 lease          which host holds the volume
//	                                 links/<group>  groups of hard links
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
// of nanoseconds. Read as well are octal modes, the file-* names of AWS's tools, and the
// times of rclone and geesefs. AWS's names are dropped when the object is rewritten: left
// alone they would contradict the names that we write. All other metadata, and the standard
// headers, are [Foreign] and kept.
//
// Lineage, under objvol-gen, says which of our writes made the object.
package layout
