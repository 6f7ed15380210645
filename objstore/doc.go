// Package objstore is the contract between the filesystem and an object store.
//
// A [Bucket] is one S3 bucket. What the filesystem needs of S3 is here and nothing else
// is: objects with user metadata, preconditions, ranges, listings, multipart uploads and
// deletes of many objects at once. The packages below it
// (s3, memory) implement the contract; objstoretest checks it.
//
// # Keys
//
// A key is a non-empty UTF-8 string of at most 1,024 bytes. The filesystem escapes
// what a key cannot carry before it reaches this package.
//
// # Consistency
//
// Reads and listings that start after a write was acknowledged see it (S3 has
// promised this since 2020; MinIO and versitygw do as well). A listing says nothing
// about writes that were under way when its request was sent.
//
// # ETags and preconditions
//
// An ETag is opaque: it is compared, never computed or parsed, and carries no quotes
// here. A self-copy of an object may keep its ETag. A [Condition] is checked by the
// store and the write in one step, where [Capabilities] says so; a write whose
// condition does not hold changes nothing and fails with [ErrPreconditionFailed].
// If-Match on a key that does not exist fails with [ErrPreconditionFailed] too
// (AWS answers 404 there, others 412: one answer here).
//
// # Errors and lost answers
//
// Every error wraps one of the sentinels of errors.go or is a context's. A mutating
// request is known to have been refused only if its error is [Refused]. After any
// other error (a timeout, a reset connection, a cancelled context) it may have been
// executed, and may be executed still: the caller finds out by Head. A conditional
// write that is retried after a lost answer meets its own first attempt and gets
// ErrPreconditionFailed: the caller recognises its own write by metadata that it
// put there. Only [WithRetry] retries.
//
// # Ranges
//
// A range that begins at or beyond the end of an object fails with [ErrInvalidRange];
// one that only reaches beyond it is cut at the end.
package objstore
