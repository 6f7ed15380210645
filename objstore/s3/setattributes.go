package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// SetAttributes copies an object onto itself with other attributes. The request expires
// after objstore.DeleteExpiry.
func (b *Bucket) SetAttributes(ctx context.Context, key, etag string, attrs objstore.Attributes) (objstore.Object, error) {
	etag, err := b.setAttributes(ctx, key, etag, attrs)
	if err != nil {
		return objstore.Object{}, fail(ctx, objstore.OpSetAttributes, key, err)
	}
	return objstore.Object{Key: key, ETag: etag}, nil
}

// copyResult is the answer to a copy. A store that has begun it before it failed answers
// with an error's text under a good status.
type copyResult struct {
	XMLName       xml.Name
	ETag          string
	Code, Message string
}

func (b *Bucket) setAttributes(ctx context.Context, key, etag string, attrs objstore.Attributes) (string, error) {
	if !b.caps.SetAttributes {
		return "", fmt.Errorf("%w: attributes without the bytes", objstore.ErrUnsupported)
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	opts, err := putOptions(attrs, objstore.Condition{})
	if err != nil {
		return "", err
	}
	r := request{
		method: http.MethodPut, key: key, expiry: objstore.DeleteExpiry, signed: opts.Header(),
		// Who knows it compares the target too. It is not among Amazon's own names.
		header: http.Header{"If-Match": {quote(etag)}},
	}
	r.signed.Set("X-Amz-Copy-Source", "/"+b.name+"/"+s3utils.EncodePath(key))
	r.signed.Set("X-Amz-Copy-Source-If-Match", quote(etag))
	r.signed.Set("X-Amz-Metadata-Directive", "REPLACE")
	resp, err := b.send(ctx, r)
	if err != nil {
		return "", lateError(err)
	}
	var result copyResult
	err = xml.NewDecoder(resp.Body).Decode(&result)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", fmt.Errorf("%w: answer to a copy: %s", objstore.ErrUnavailable, err.Error())
	}
	switch {
	case result.XMLName.Local == "Error":
		return "", lateError(minio.ErrorResponse{Code: result.Code, Message: result.Message, StatusCode: http.StatusInternalServerError})
	case result.ETag == "":
		return "", fmt.Errorf("%w: answer to a copy names no ETag", objstore.ErrUnavailable)
	}
	return unquote(result.ETag), nil
}
