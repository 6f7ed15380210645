// Package vfs is the filesystem itself: it knows what POSIX wants, and neither FUSE nor S3.
//
// # Words
//
// An inode is a file, whatever its names; its number is never reused. One with several
// names has members, one for each, which only the index and the write-back know: what a
// name stands for is asked of whole. A name (dirent)
// enters an inode in a directory. A handle is an open file or directory. The index holds
// all of it on this host and is the one truth: every operation is one transaction of
// the index, in which the state is looked at, judged and changed. Nothing is kept in
// memory that the index could tell, except for files that are open or being sent
// (node).
//
// # Where bytes are
//
// A regular file's bytes are in its content file where they are resident; below BaseLen
// in its object, but for holes that are known (index.Content); else they are zeros. What
// fallocate reserved is resident: zeros that take space.
//
//	        open, read            fetch             evict
//	absent ------------> partly ---------> whole ----------> absent     (clean)
//	                        \                 \
//	                   write \           write \     landed
//	                          v                 v   -------> clean      (dirty: the
//	                         dirty ----------> dirty                     write-back's)
//
// What is fetched goes to the content file as it comes. What reads out of sequence fetch is
// read from memory first, and written and recorded a moment later, much at once (gather.go). The
// more requests they make for a file that the cache has room for, the more comes with each (wide.go).
//
// The first write after the content was last sent raises Inode.Gen and queues the inode,
// before a byte changes: a crash between the two sends a file too many, never one too
// few. Content files are replaced, not cleared: whoever still reads the old one reads
// what was true when he began.
//
// A large file that grows is sent while it is written: write and lookBehind tell the
// write-back how far, and begun of what changes again (writeback/stream.go).
//
// On a full disk a writer waits (room.go): what is clean goes, and the file that is written
// is sent as it is so far and leaves this host. It goes on in a new content file; at its
// next upload the store copies what it has.
//
// # Files that the kernel reads and writes itself
//
// A file that is whole on this host and large enough is passed: from its first open to its
// last release the kernel uses the content file (passthrough.go). Then the content file is
// the file, and what we do to it we do as to a local file. A change is found by its
// modification time (absorb.go); before one can happen the index has index.Passed.Open,
// which stays until it is proven that nobody is left who could change it (settle.go). While
// it stands, content file and index are compared by every operation that depends on either,
// and after a crash. A passed content file is neither replaced by another writer's version
// nor evicted. Where the volume wants it, a new file is passed too if it is likely to become large
// and there is room for it (created.go): while it is open it can leave this host in no part.
// Where it does not, such a file is mediated, but written past the kernel's pages (past.go).
//
// # Names and freshness
//
// A directory is listed once into the index and again when it is older than the
// volume's ttl (freshness.go), then without metadata as long as it shows what the index has
// (unchanged.go). The kernel may remember names for the first three quarters of that time: so
// what is in use is asked for, and listed again behind the answer, before the time is over.
// While the kernel remembers, it is told names alone (told.go). Listings never overrule changes of ours (hard-cases 9).
//
// A directory exists if it has a marker, or if something lies below it that can be shown.
// Keys that cannot (hidden.go) are counted and logged once. They hold no directory: rmdir
// of one that has only such keys succeeds and they stay, on no host a name. Where a common
// prefix is all that is known of a directory, one key below it is looked at first.
//
// # Locks
//
//	node.mu        content of one open file: reads and fetches share it, writes hold it alone
//	index.Update   the one writer of the index; inside it nothing waits
//	FS.mu, leaf mutexes   tables in memory; they call nobody
//
// taken in this order, and none of them over a request to the store.
package vfs
