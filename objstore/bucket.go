package objstore

import (
	"context"
	"io"
	"time"
)

// Bucket is one bucket of an object store. All methods may be called from many
// goroutines at once.
type Bucket interface {
	// Head returns an object's attributes, metadata included.
	// Errors: ErrNotFound.
	Head(ctx context.Context, key string) (Object, error)

	// Get opens an object, or a range of it, for reading. The caller closes the
	// reader; a transfer that ends early is an error of its Read. The Object
	// describes the whole object, whatever the range.
	// Errors: ErrNotFound, ErrPreconditionFailed (IfMatch), ErrInvalidRange.
	Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error)

	// Put writes a whole object in one request, at most MaxPutSize bytes. A body that
	// ends early or fails leaves the key as it was. The returned Object has Key, Size
	// and ETag; LastModified is zero (the answer of a PUT carries none).
	// Errors: ErrPreconditionFailed.
	Put(ctx context.Context, key string, body Body, opts PutOptions) (Object, error)

	// Delete removes an object; removing a key that does not exist succeeds, unless
	// a condition was given.
	//
	// Where the store does not condition deletes (Capabilities.ConditionalDelete is
	// false), the implementation compares by Head first and sends the delete so
	// that the server refuses it when it arrives later than DeleteExpiry. What
	// another client writes between the two requests is then lost unseen
	// (hard-cases 7). After an error that is not Refused, the delete may still
	// happen until DeleteExpiry has passed.
	// Errors: ErrPreconditionFailed, ErrNotFound (with IfMatch, key absent).
	Delete(ctx context.Context, key string, cond Condition) error

	// DeleteMany removes at most MaxDeletes objects of different keys in few requests, each
	// under the terms of Delete. The answer has an entry for each of the batch: nil if the object was removed, otherwise
	// an OpError with its key.
	//
	// Where the store does not condition deletes, the implementation compares the ETags by
	// Confirm first and sends the delete so that the server refuses it when it arrives
	// later than DeleteExpiry. A server may take long over a batch: after an error that is
	// not Refused, the delete of that key may still happen until BatchExpiry has passed.
	// Errors: ErrPreconditionFailed, ErrNotFound (with IfMatch, key absent), ErrUnsupported
	// (without BatchDelete).
	DeleteMany(ctx context.Context, batch []Doomed) []error

	// SetAttributes gives an object other attributes, all of them, inside the store: its
	// bytes, at most MaxPutSize, stay. The returned Object has Key and ETag, which may be
	// the one before; LastModified moves.
	//
	// A store may compare the ETag some time before it sets the attributes. What another
	// client writes between the two keeps its bytes, but gets these attributes and may get
	// the ETag of what was there before (MinIO): then only its size tells. The store refuses
	// the request when it arrives later than DeleteExpiry (hard-cases 7). It may take long over a
	// large object: after an error that is not Refused, the attributes may still be set until
	// SetExpiry has passed.
	// Errors: ErrNotFound, ErrPreconditionFailed, ErrUnsupported (without SetAttributes).
	SetAttributes(ctx context.Context, key, etag string, attrs Attributes) (Object, error)

	// List returns one page of keys in ascending byte order.
	List(ctx context.Context, opts ListOptions) (Page, error)

	// CreateUpload begins a multipart upload and returns its id. The attributes
	// become the object's at CompleteUpload; nothing is visible before.
	CreateUpload(ctx context.Context, key string, attrs Attributes) (id string, err error)

	// UploadPart sends one part. Parts are numbered from 1 to MaxParts and are at
	// least MinPartSize bytes, the last excepted.
	UploadPart(ctx context.Context, key, id string, number int, body Body) (Part, error)

	// CopyPart makes a part of a range of an existing object, inside the store.
	// Length 0 means the whole object, which may be empty.
	// Errors: ErrNotFound (source), ErrPreconditionFailed (source's IfMatch).
	CopyPart(ctx context.Context, key, id string, number int, src CopySource) (Part, error)

	// CompleteUpload joins the parts, in ascending number, into the object. A failed
	// condition leaves the upload in place: the caller aborts it.
	// Errors: ErrPreconditionFailed.
	CompleteUpload(ctx context.Context, key, id string, parts []Part, cond Condition) (Object, error)

	// AbortUpload discards an upload and its parts. An unknown id succeeds.
	AbortUpload(ctx context.Context, key, id string) error

	// Capabilities says what this store can do. It is constant and local.
	Capabilities() Capabilities
}

// Limits of S3 (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const (
	MaxKeyLength = 1024    // bytes
	MaxMetadata  = 2048    // bytes of all user metadata names and values together
	MaxParts     = 10_000  // parts of one upload
	MinPartSize  = 5 << 20 // bytes of every part but the last
	MaxPutSize   = 5 << 30 // bytes of one Put or one part
	MaxDeletes   = 1000    // keys of one DeleteMany, and of a page
)

// DeleteExpiry bounds how long after it was sent a delete can still take effect, on
// stores that do not condition deletes.
const DeleteExpiry = 5 * time.Second

// BatchExpiry bounds how long after it was sent a DeleteMany can still take effect.
const BatchExpiry = 4 * DeleteExpiry

// SetExpiry bounds how long after it was sent a SetAttributes can still take effect.
const SetExpiry = 4 * DeleteExpiry

// Attributes are what an object carries beside its bytes.
type Attributes struct {
	// ContentType is the Content-Type header; empty is application/octet-stream.
	ContentType string
	// Headers are the other standard headers that S3 keeps and returns, by canonical
	// name: Cache-Control, Content-Disposition, Content-Encoding, Content-Language,
	// Expires.
	Headers map[string]string
	// Metadata is the user metadata, names in lower case without "x-amz-meta-".
	// Values are printable ASCII.
	Metadata map[string]string
}

// Object describes an object.
type Object struct {
	Key          string
	Size         int64     // bytes
	ETag         string    // opaque, without quotes
	LastModified time.Time // zero in the answer of a write
	Attributes

	// HasMetadata says that Attributes.Metadata is what the object has. It is false
	// in the listings of a store without Capabilities.ListMetadata, and with ListOptions.Bare.
	HasMetadata bool
}

// Condition is a precondition of a write. The zero value is none. At most one of
// its fields is set.
type Condition struct {
	IfMatch  string // the key holds an object of this ETag
	IfAbsent bool   // the key holds nothing (If-None-Match: *)
}

// None reports whether the condition is empty.
func (c Condition) None() bool { return c == Condition{} }

// Doomed names an object that DeleteMany is to remove.
type Doomed struct {
	Key     string
	IfMatch string // ETag of the object; empty is any
}

// GetOptions select what Get reads.
type GetOptions struct {
	Offset  int64  // bytes from the start
	Length  int64  // bytes; 0 means to the end
	IfMatch string // fail with ErrPreconditionFailed unless the ETag is this
}

// PutOptions are the attributes and the precondition of a Put.
type PutOptions struct {
	Attributes
	Condition
}

// CopySource is the range of an object that CopyPart reads.
type CopySource struct {
	Key     string
	IfMatch string // ETag of the source; empty is any
	Offset  int64  // bytes
	Length  int64  // bytes; 0 means the whole object
}

// Part is an uploaded part.
type Part struct {
	Number int
	ETag   string
	Size   int64 // bytes
	// Checksum is what the store needs repeated at CompleteUpload; it is opaque.
	Checksum string
}

// ListOptions select what List returns.
type ListOptions struct {
	Prefix string // only keys that begin with it
	// Delimiter, "" or "/", folds keys that have it after the prefix into Page.Prefixes.
	Delimiter string
	// Token continues a listing: Page.Next of the page before.
	Token string
	// After skips keys up to and including this one. It is read with an empty Token only.
	After string
	// Max is the highest number of keys and prefixes in the page, 0 for the store's own.
	Max int
	// Bare asks for no metadata: where they have to be listed for each object, that is most
	// of a store's work.
	Bare bool
}

// Page is a part of a listing.
type Page struct {
	Objects  []Object // without ContentType and Headers; HasMetadata says whether metadata was listed
	Prefixes []string // whole keys' beginnings, delimiter included
	Next     string   // token of the next page, empty at the end
}

// Body is what a write sends. It can be read several times, once per attempt.
type Body interface {
	// Size is the number of bytes that Open's reader gives.
	Size() int64
	// Open returns a reader from the first byte. Closing it is the caller's.
	Open() (io.ReadCloser, error)
}

// Capabilities says what a store can do beyond the contract's minimum.
type Capabilities struct {
	// ConditionalPut: Put's Condition is atomic. 16 parallel creates have one winner.
	ConditionalPut bool
	// ConditionalComplete: CompleteUpload's Condition is honoured.
	ConditionalComplete bool
	// ConditionalDelete: Delete's IfMatch is honoured by the store itself.
	ConditionalDelete bool
	// BatchDelete: DeleteMany is there, and conditioned by the store if Delete is.
	BatchDelete bool
	// SetAttributes: attributes can be set without the bytes, on the condition of an ETag.
	SetAttributes bool
	// ListMetadata: List returns user metadata.
	ListMetadata bool
	// CopyPart: parts can be copied inside the store.
	CopyPart bool
	// FileAndDirectory: a key "a" and a key "a/b" can exist at once. Stores that keep
	// objects as files (versitygw) hold only one of them.
	FileAndDirectory bool
}
