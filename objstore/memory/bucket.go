package memory

import (
	"cmp"
	"context"
	"crypto/md5" // what an ETag of S3 is, not a protection
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"objvol/objstore"
)

// Options of a Bucket. The zero value is a store that can do everything.
type Options struct {
	// Without names the capabilities to take away: a field that is true is missing.
	// Conditions that the store then does not know are refused with ErrUnsupported;
	// a conditional delete is emulated by a Head, which the journal shows.
	Without objstore.Capabilities
	// ContentETags makes an ETag follow from the bytes alone, as S3's mostly do:
	// equal content has an equal ETag. Otherwise every write has a new one.
	ContentETags bool
	// PageSize is the number of entries in a page of List that asks for no number,
	// and the most it can ask for; 0 is 1,000.
	PageSize int
	// MinPartSize is the least size of a part, in bytes; 0 is objstore.MinPartSize.
	MinPartSize int
}

// Bucket is a bucket in memory. It may be used from many goroutines.
type Bucket struct {
	caps         objstore.Capabilities
	contentETags bool
	pageSize     int
	minPartSize  int

	// mu protects all below. It is never held while a hook runs, a body is read or
	// time passes.
	mu       sync.Mutex
	writes   int // numbers ETags and uploads
	objects  map[string]Stored
	uploads  map[string]*upload
	faults   []*injected
	requests []Request
}

var _ objstore.Bucket = (*Bucket)(nil)

// Stored is an object with its bytes, which nobody may change.
type Stored struct {
	objstore.Object
	Data []byte
}

// New returns an empty bucket.
func New(opts Options) *Bucket {
	without := opts.Without
	opts.PageSize = cmp.Or(opts.PageSize, 1000)
	return &Bucket{
		caps: objstore.Capabilities{
			ConditionalPut:      !without.ConditionalPut,
			ConditionalComplete: !without.ConditionalComplete,
			ConditionalDelete:   !without.ConditionalDelete,
			BatchDelete:         !without.BatchDelete,
			SetAttributes:       !without.SetAttributes,
			ListMetadata:        !without.ListMetadata,
			CopyPart:            !without.CopyPart,
			FileAndDirectory:    !without.FileAndDirectory,
		},
		contentETags: opts.ContentETags,
		pageSize:     opts.PageSize,
		minPartSize:  cmp.Or(opts.MinPartSize, objstore.MinPartSize),
		objects:      map[string]Stored{},
		uploads:      map[string]*upload{},
	}
}

// Capabilities says what the bucket was left with.
func (b *Bucket) Capabilities() objstore.Capabilities { return b.caps }

// Head returns an object's attributes.
func (b *Bucket) Head(ctx context.Context, key string) (objstore.Object, error) {
	var object objstore.Object
	err := b.do(ctx, objstore.OpHead, key, func() error {
		stored, err := b.findLocked(key)
		object = describe(stored)
		return err
	})
	return object, err
}

// Get opens a range of an object. What it reads is the object of the moment of Get,
// whatever is written later.
func (b *Bucket) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	var stored Stored
	cut, err := b.disturbed(ctx, objstore.OpGet, key, func() error {
		var err error
		if stored, err = b.findLocked(key); err != nil {
			return err
		}
		if opts.IfMatch != "" && opts.IfMatch != stored.ETag {
			return objstore.ErrPreconditionFailed
		}
		whole := opts.Offset == 0 && opts.Length == 0
		if opts.Offset < 0 || opts.Length < 0 || opts.Offset >= stored.Size && !whole {
			return objstore.ErrInvalidRange
		}
		return nil
	})
	if err != nil {
		return nil, objstore.Object{}, err
	}
	data := stored.Data[opts.Offset:]
	if opts.Length > 0 && opts.Length < int64(len(data)) {
		data = data[:opts.Length]
	}
	return newBody(ctx, key, data, cut), describe(stored), nil
}

// Put writes a whole object.
func (b *Bucket) Put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
	data, err := receive(ctx, body)
	if err != nil {
		b.record(objstore.OpPut, key)
		return objstore.Object{}, &objstore.OpError{Op: objstore.OpPut, Key: key, Err: err}
	}
	var object objstore.Object
	err = b.do(ctx, objstore.OpPut, key, func() error {
		if err := validAttributes(opts.Attributes); err != nil {
			return err
		}
		if err := b.allowLocked(key, opts.Condition, b.caps.ConditionalPut); err != nil {
			return err
		}
		object = written(b.storeLocked(key, data, opts.Attributes, ""))
		return nil
	})
	return object, err
}

// Delete removes an object. Where the bucket is without ConditionalDelete, a
// condition is compared by a Head before, and what arrives between the two is lost.
func (b *Bucket) Delete(ctx context.Context, key string, cond objstore.Condition) error {
	if cond.IfMatch != "" && !b.caps.ConditionalDelete {
		object, err := b.Head(ctx, key)
		if err == nil && object.ETag != cond.IfMatch {
			err = objstore.ErrPreconditionFailed
		}
		if err != nil {
			if op := (*objstore.OpError)(nil); errors.As(err, &op) {
				err = op.Err
			}
			return &objstore.OpError{Op: objstore.OpDelete, Key: key, Err: err}
		}
		cond = objstore.Condition{}
	}
	return b.do(ctx, objstore.OpDelete, key, func() error {
		if cond.IfAbsent {
			return fmt.Errorf("%w: a delete of what must be absent", objstore.ErrInvalid)
		}
		if cond.IfMatch != "" {
			stored, err := b.findLocked(key)
			if err != nil {
				return err
			}
			if stored.ETag != cond.IfMatch {
				return objstore.ErrPreconditionFailed
			}
		}
		delete(b.objects, key)
		return nil
	})
}

// SetAttributes gives an object other attributes. With ContentETags its ETag stays.
func (b *Bucket) SetAttributes(ctx context.Context, key, etag string, attrs objstore.Attributes) (objstore.Object, error) {
	var object objstore.Object
	err := b.do(ctx, objstore.OpSetAttributes, key, func() error {
		if !b.caps.SetAttributes {
			return objstore.ErrUnsupported
		}
		if err := validAttributes(attrs); err != nil {
			return err
		}
		stored, err := b.findLocked(key)
		if err != nil {
			return err
		}
		if stored.ETag != etag {
			return objstore.ErrPreconditionFailed
		}
		object = written(b.storeLocked(key, stored.Data, attrs, etag))
		return nil
	})
	return object, err
}

// do runs a request: journal, faults, execution under the lock. What it returns is an
// OpError or nil.
func (b *Bucket) do(ctx context.Context, op, key string, execute func() error) error {
	_, err := b.disturbed(ctx, op, key, execute)
	return err
}

// findLocked returns the object of a key.
func (b *Bucket) findLocked(key string) (Stored, error) {
	stored, ok := b.objects[key]
	if !ok {
		return Stored{}, objstore.ErrNotFound
	}
	return stored, nil
}

// allowLocked says whether a write of key may go ahead.
func (b *Bucket) allowLocked(key string, cond objstore.Condition, conditional bool) error {
	if cond.None() {
		return b.placeLocked(key)
	}
	if !conditional {
		return fmt.Errorf("%w: a condition of this write", objstore.ErrUnsupported)
	}
	if cond.IfAbsent && cond.IfMatch != "" {
		return fmt.Errorf("%w: two conditions", objstore.ErrInvalid)
	}
	stored, exists := b.objects[key]
	if cond.IfAbsent && exists || cond.IfMatch != "" && (!exists || stored.ETag != cond.IfMatch) {
		return objstore.ErrPreconditionFailed
	}
	return b.placeLocked(key)
}

// placeLocked refuses a key where a store that keeps objects as files has no place.
func (b *Bucket) placeLocked(key string) error {
	if b.caps.FileAndDirectory {
		return nil
	}
	for i, c := range key {
		if _, file := b.objects[key[:i]]; c == '/' && file {
			return fmt.Errorf("%w: %q is a file", objstore.ErrInvalid, key[:i])
		}
	}
	for other := range b.objects {
		if !strings.HasSuffix(key, "/") && strings.HasPrefix(other, key+"/") {
			return fmt.Errorf("%w: a directory", objstore.ErrInvalid)
		}
	}
	return nil
}

// storeLocked puts an object in place. A multipart upload gives the ETag that its
// content has; for others it is empty.
func (b *Bucket) storeLocked(key string, data []byte, attrs objstore.Attributes, etag string) Stored {
	b.writes++
	switch {
	case !b.contentETags:
		etag = "write-" + strconv.Itoa(b.writes)
	case etag == "":
		etag = hash(data)
	}
	if attrs.ContentType == "" {
		attrs.ContentType = "application/octet-stream"
	}
	attrs.Headers, attrs.Metadata = maps.Clone(attrs.Headers), maps.Clone(attrs.Metadata)
	stored := Stored{
		Object: objstore.Object{
			Key: key, Size: int64(len(data)), ETag: etag,
			LastModified: time.Now().UTC().Truncate(time.Second),
			Attributes:   attrs, HasMetadata: true,
		},
		Data: data,
	}
	b.objects[key] = stored
	return stored
}

// describe returns a copy of an object's attributes that the caller may change.
func describe(stored Stored) objstore.Object {
	object := stored.Object
	object.Headers, object.Metadata = maps.Clone(object.Headers), maps.Clone(object.Metadata)
	return object
}

// written is what the answer of a write tells of an object.
func written(stored Stored) objstore.Object {
	return objstore.Object{Key: stored.Key, Size: stored.Size, ETag: stored.ETag}
}

func hash(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}
