// Package s3 implements [objstore.Bucket] on a server that speaks S3. It is the only
// package that knows minio-go, S3's error codes and HTTP statuses.
//
// # Life of a bucket
//
// [Open] signs one listing to find out whether the bucket is there and the
// credentials are good, and says in its error what to change if not. [Bucket.Probe]
// then tries what the server can do; the caller remembers the answer and gives it
// back with [Config.Capabilities] or [Bucket.WithCapabilities]. A bucket without
// capabilities is usable: it asks for nothing beyond the contract's minimum.
// [Bucket.Close] drops the idle connections.
//
// # Requests
//
// Writes with a large body and the multipart requests go through minio.Core: the
// high-level PutObject drops preconditions as soon as it uploads in parts. Requests
// without a body (Head, Get, List, Delete), with a small one, or with one that lies in a
// file are built and signed here with minio-go's signer. That is less code than its methods need around them, and it is
// the only way to
//
//   - list a single page with metadata, a delimiter and a context,
//   - send If-Match with a DELETE, or limit its life,
//   - read objects whose Expires is no date, and metadata exactly as it is stored,
//   - send a small body together with its head.
//
// Every request is sent once. Repeating is objstore.WithRetry's business; a client
// that repeats by itself turns its own first write into a failed precondition.
//
// # Preconditions
//
// If-Match and If-None-Match: * go with Put and CompleteUpload. They never go with
// CreateUpload, where MinIO would evaluate them too early and AWS refuses them.
// A 404 for an If-Match becomes ErrPreconditionFailed. A 409 means that two
// conditional writes met and this one was not decided; it is ErrUnavailable, because
// the next attempt is.
//
// A refusal that arrives while the body is still being sent is a refusal, not a broken
// connection. Puts do not wait for 100 Continue: all are conditional, few are refused,
// and it would cost each of them a round trip.
//
// A HEAD has no body to tell what is missing. MinIO tells it in a header; elsewhere
// the HEAD of a key in a missing bucket is ErrNotFound.
//
// # Credentials
//
// The configuration names one source, or AWS's places are searched in AWS's order. The
// instance's metadata service is asked last, only where the store is AWS's or a variable
// names it, and not for long. Files are looked at before each request is signed and read
// again when they changed (a stat of each, next to a signature nothing); while a change
// cannot be read the old keys stay in use. So a file is best replaced by rename.
//
// A denied request is compared with the store's Date: with clocks that are too far apart
// every signature is refused, under many names.
//
// # Deletes
//
// DELETE is always presigned to expire after objstore.DeleteExpiry: a request that was
// held up somewhere is refused by the server, not executed over a newer object
// (hard-cases 7). A refusal of that kind is ErrUnavailable. It needs clocks that agree
// to within that time, which the error says.
// Where the server conditions deletes, If-Match goes with it, beside the signature. AWS
// lets such a delete succeed on a key that does not exist, so ErrNotFound is certain
// only where the comparison is made here.
//
// # Attributes
//
// SetAttributes is a CopyObject of an object onto itself, presigned like a delete. The ETag
// is compared with that of the source, and of the target where a store knows that. MinIO
// looks at the source without a lock: of 600 copies during which
// another client wrote, 147 gave their attributes and the old ETag to the new bytes. AWS
// copies the bytes, and the copy of an object of parts has another ETag.
//
// # Checksums
//
// Bodies are sent with an unsigned payload and a CRC32C. That of at most 64 KiB is read
// first and has its sum in the head. Measured with 4 KiB on two busy cores: 260 µs of this
// process per Put instead of 380, 75 kB less allocated.
//
// A part that lies in a file (objstore.InFile) is read once for its sum and then sent by the kernel: nothing is
// copied through this process, and there are no chunks to make here and to take apart there.
// Of 1 GiB that a program writes, sending takes 0.32 s of this process instead of 0.50, on
// two busy cores. A part that was written to between the two is refused by the server, and
// sent like any other.
//
// Any other body has its sum in a trailer, computed while the body is read: one pass, no MD5, no SHA-256, over http as over https. The server
// compares the trailer before it accepts the object or the part. Signing each chunk
// instead costs a SHA-256 of everything and protects only against someone who can alter
// the plain text of a connection, who can read it as well; that is what https is for.
// Measured with bodies of 16 MiB on two cores: 2.2 GB/s bare, 2.0 with the trailer, 0.9
// with signed chunks.
//
// AWS wants an upload to announce the checksums of its parts, and each repeated at
// CompleteUpload (objstore.Part.Checksum). Elsewhere that is left out: MinIO copies no
// parts into such an upload.
//
// # Times
//
// LastModified has whole seconds, everywhere: a HEAD knows no more, and a listing
// that did would make equal objects look different.
package s3
