// Package memory is a bucket in memory, for tests.
//
// A [Bucket] keeps the whole contract of objstore and is strict where real stores
// differ: it refuses keys, metadata and part sizes that some store would refuse. Its
// capabilities can be taken away one by one ([Options].Without), so that a test sees
// what the filesystem does on a poorer store.
//
// # Faults
//
// [Bucket.Inject] disturbs requests, chosen by name, key and count:
//
//	// The third put is executed and its answer is lost.
//	b.Inject(memory.Fault{Op: objstore.OpPut, Nth: 3, After: true, Err: objstore.ErrUnavailable})
//	// No delete of k reaches the store.
//	b.Inject(memory.Fault{Op: objstore.OpDelete, Key: "k", Count: memory.Forever, Err: objstore.ErrUnavailable})
//	// Another client writes k just before our put of it is executed.
//	b.Inject(memory.Fault{Op: objstore.OpPut, Key: "k", Hook: func() { b.Set("k", theirs, objstore.Attributes{}) }})
//
// A request that a client sent and that arrives late is a fault without execution,
// followed by a direct call on the bucket.
//
// # Looking in from outside
//
// [Bucket.Requests] is the journal of what arrived. [Bucket.Snapshot], [Bucket.Set],
// [Bucket.Remove] and [Bucket.Uploads] are the view of another client: they are
// neither recorded nor disturbed.
//
// LastModified has whole seconds, as in the HTTP header: two writes within one second
// are not told apart by it.
package memory
