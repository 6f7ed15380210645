package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// Delete removes an object. The request expires after objstore.DeleteExpiry.
func (b *Bucket) Delete(ctx context.Context, key string, cond objstore.Condition) error {
	return fail(ctx, objstore.OpDelete, key, b.delete(ctx, key, cond))
}

func (b *Bucket) delete(ctx context.Context, key string, cond objstore.Condition) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if cond.IfAbsent {
		return fmt.Errorf("%w: deleting what is absent", objstore.ErrInvalid)
	}
	r := request{method: http.MethodDelete, key: key, expiry: objstore.DeleteExpiry}
	switch {
	case cond.None():
	case b.caps.ConditionalDelete:
		r.header = http.Header{"If-Match": {quote(cond.IfMatch)}}
	default:
		if err := b.compare(ctx, key, cond.IfMatch); err != nil {
			return err
		}
	}
	resp, err := b.send(ctx, r)
	if err != nil {
		return deleteError(err, cond)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// compare does by Head what the store does not do by itself.
func (b *Bucket) compare(ctx context.Context, key, etag string) error {
	obj, err := b.Head(ctx, key)
	if err != nil {
		return err
	}
	if obj.ETag != etag {
		return fmt.Errorf("%w: etag is %q", objstore.ErrPreconditionFailed, obj.ETag)
	}
	return nil
}

// deleteError finds the two answers that mean something else here: a missing key is
// what an unconditional delete wants, and one that came too late can be sent again.
func deleteError(err error, cond objstore.Condition) error {
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok && cond.None() && r.Code == "NoSuchKey" {
		return nil
	}
	return lateError(err)
}

// lateError finds an expired signature: that is lateness, which another attempt can mend.
func lateError(err error) error {
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok && r.StatusCode == http.StatusForbidden && strings.Contains(strings.ToLower(r.Message), "expired") {
		return fmt.Errorf("%w: the request reached the store more than %v after it was signed; if this repeats, the clocks of this host and of the store differ",
			objstore.ErrUnavailable, objstore.DeleteExpiry)
	}
	return err
}
