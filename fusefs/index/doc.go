// Package index is what a host knows of one volume: its inodes, its names, where the bytes
// of its files are, what the bucket holds under each key, and the queues of what the bucket
// does not have yet. It is kept in Pebble.
//
// # Transactions
//
// All writing happens in [Index.Update], one function at a time: its lock is the volume's
// only lock for writers. The function reads its own writes through [Tx], and all of them
// are kept or none. Reading through [Index] takes no lock and sees a transaction wholly or
// not at all. It may see one shortly before its Update returns.
//
// Records that were read or written last are kept in memory (recent), so that most reading
// asks nothing of Pebble; so are the queues of inodes and of keys while they are short (queue).
//
// # What is promised when
//
// When Update returns nil, the transaction has reached the kernel: it survives the end of
// the process, SIGKILL included, but not a power cut. After a power cut the index is as it
// was after some earlier transaction, with nothing missing in between (hard-cases 3);
// [Index.Sync] returns when all that was committed before it survives a power cut too, and
// [Index.DataLasts] tells whether all of it does already but for changes of times alone.
//
// Pebble is made to do this by the file system it is given (walFS): commits ask for a sync,
// so they are written before they are answered, and the sync of a write-ahead log does
// nothing while that log is current. Before a log is followed by the next one it is synced
// for real, because Pebble opens after a crash only if no log but the last is cut short.
// From its format 20 on Pebble also believes in syncs inside the last log. The format is
// therefore pinned below that.
//
// # Failure
//
// Pebble ends the process when it cannot write. Here it ends the index: the first such
// error is told to Options.OnFailure, every later Update and Sync returns it, and the
// goroutine that met it is parked for good, as Pebble does not expect it back. Reads go on.
// A failed index cannot be opened again by the same process, since parts of it still run.
// A small file that holds free disk blocks in reserve is given up at the first shortage of
// space, so that a full disk is not at once such a failure (hard-cases 11).
//
// # Records
//
// Every record is a version byte and a hand-written encoding in varints. Numbers within
// keys are big-endian and of fixed width, so that the order of the keys is theirs. One
// counter gives both inode numbers and directory cookies; neither is ever given twice, not
// even after a power cut, because the counter is reserved in blocks that are synced before
// the first number of a block is given (hard-cases 6).
package index
