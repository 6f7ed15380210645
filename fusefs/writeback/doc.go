// Package writeback makes the bucket equal to what the index says it should be.
//
// It reconciles state, it does not replay a log. For each inode the index knows what
// is wanted (a path, a content generation, attributes), for each key what the bucket
// holds (an ETag, an owner, a write in flight). A task is an inode that may differ from
// its object, or a key that holds what nobody wants any more. Workers take the tasks
// that are due, plan one request each, send it, and write the result to the index.
// Everything that happened to a file in between is one request. After a crash the
// queues of the index are read and the same goes on.
//
// While programs use the volume, what nobody waits for makes way for them, for a bounded
// time (calm.go), unless processors are idle (idle.go).
//
// # Planning
//
// plan looks at one task inside an index transaction and answers with one Step. It
// sends nothing. The rules are those of hard-cases 8:
//
//   - One mutating request per key at a time; a key that is being copied from rests too.
//   - A key is not overwritten while it holds the only object of a living inode: that
//     one goes to its new key first. Where such inodes wait for each other in a circle,
//     one is copied to a hidden key beside the volume and the circle is open.
//   - A file's key is deleted before a key below it is written, and the reverse, because
//     some stores hold only one of "a" and "a/b".
//   - A key whose owner is unlinked but still open and not complete on this host is
//     fetched before it goes (hard-cases 22).
//   - Before a key below a directory without a marker is deleted, the marker is written
//     (hard-cases 26). A marker goes after all keys below it.
//   - Of an inode with several names each name is a task of its own (index/members.go), from
//     the moment when the first of them is to be sent (loose.go). A copy of it is made of
//     another one inside the store. Before any of them gets a new content, the group's
//     record says which generation is the newest (hard-cases 29). The newest copy does not
//     go, with its name, before another name has it. Where that name waits for the key, the
//     copy is hidden as above.
//   - A file's object moves to a key in overflow form only when the markers by which it is
//     found there are in their place; those that lead to it where it was stay till then.
//   - A marker to which another tool gave a content keeps it: it is copied, and instead of
//     being deleted it is given back without our attributes.
//   - A key rests after a delete whose answer was lost, where the store does not condition
//     deletes, and so do all keys to be deleted after a start, unless the process before has
//     left word that no answer was missing (latedelete.go, hard-cases 7).
//   - Keys to be deleted wait a moment for each other and go together, where the store
//     takes many (gather.go). Each is planned as if it went alone.
//
// # Writing
//
// Every write carries a condition: the ETag that the index has for the key, or that
// there is nothing. Its nonce is in the index before the request is sent and in the
// object's metadata after it, so that a write whose answer was lost is recognised
// (hard-cases 6). What is neither ours nor what we knew is another writer's: it keeps
// the name, and ours is kept beside it under a conflict name.
//
// A file whose object another client removed or replaced is written again if it is whole
// on this host or has new content of ours; bytes that only that object had are zeros then,
// which the log says (hard-cases 22). Otherwise the name is gone.
//
// A content that is written to while it is sent is not put together from two moments:
// the last bytes are held back until it is known that nobody wrote. A file that never
// rests is sent from a private copy.
//
// Where only the attributes of an object change, the store sets them without the bytes if it
// can, unless these are few and on this host (setattributes.go).
//
// A large file of which parts did not change since its object was written is put together
// inside the store: those parts are copied, under the condition that the object is still the
// one that they lie in, and the others are sent. Parts of it that are not on this host stay
// there. Where the store does not copy them all is sent.
//
// A large file that is written in sequence is sent while it is written (stream.go). Its
// object has the attributes of when that began, until they are set as any others.
//
// The uploads that were begun are in the index until they are over. Those that a process
// leaves are aborted by the next one.
//
// # Locks
//
// Planning, marking keys busy and recording results happen inside index.Update, whose
// lock comes first; the schedule's mutex is a leaf below it. No lock is held over a
// request. All goroutines belong to Writeback; Close waits for them.
package writeback
