// Package cache keeps the content of files on the host: which bytes lie where is the
// index's affair, this package only holds them and counts them.
//
// # Content files
//
// The content of an inode is one sparse file,
//
//	<dir>/<hh>/<inode>.<gen>
//
// where hh is the lowest byte of the inode in hexadecimal and the numbers are decimal. A
// pair of inode and generation names one content for ever: [Cache.Create] refuses a file
// that exists, so that an index that was set back by a power cut cannot adopt the leftover
// of another content (hard-cases 6). Replacing content means a new generation and a Remove
// of the old one, which keeps mappings of the old file alive (hard-cases 1).
//
// # Small contents
//
// To make, open and remove a file costs a disk many times what it costs to write a few
// bytes. Contents of at most [SmallMost] bytes lie beside each other in shared files,
//
//	<dir>/small/<number>
//
// each in a slot of its own, whose number is part of the generation ([IsSmall]). The slots
// are sparse. A slot is given out once, by the process that made the file: it names one
// content for ever too. A shared file goes with the last content in it that is wanted;
// until then [Cache.Reclaim] makes holes of the others, when nobody reads them any more and
// the index has durably forgotten them, because what comes back with a power cut must be
// missed, not read as zeros. Which contents of an earlier process are wanted only the index
// knows, and tells by [Cache.Keep]. The kernel itself cannot be given a slot as a file: who
// is to read past us needs a file of his own.
//
// A hole reads as zeros and says nothing else: whether zeros are content or only missing
// is known by the index. The caller commits "not resident" there before it punches or
// removes (hard-cases 4).
//
// # Given to the kernel
//
// A content file may be read and written by programs directly (passed.go). It is unlinked
// then, and nothing else, and only when nobody uses it.
//
// # Space
//
// [ErrNoSpace] is a full disk or a used-up quota, whatever the operation. [Cache.Free] says
// what is left above a reserve. The [Ledger] counts the bytes of each inode and knows
// which clean ones were not used for longest; it never touches a file, so that whoever
// evicts can ask the index first.
//
// Everything here may be called from many goroutines at once. The package holds no lock
// over I/O, but for making, opening and removing a shared file.
package cache
