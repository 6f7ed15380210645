package s3

import (
	"bytes"
	"context"
	"crypto/md5" // what S3 asks for, not a protection
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// What a signature says of the body: the hash of none, or that it does not cover it.
const (
	emptySHA256     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// errorBodyLimit is how much of an error answer is read, in bytes.
const errorBodyLimit = 64 << 10

// request is a request with no body, a small one, or one that lies in a file.
type request struct {
	method string
	key    string // empty is the bucket
	query  url.Values
	header http.Header
	// signed are headers that are part of the signature: those of Amazon's own names have
	// to be.
	signed http.Header
	body   []byte    // without an expiry, signed has its checksum
	file   *fileBody // in place of body and without an expiry: so is its; the caller ends it
	// expiry, if not zero, is how long after signing the server still accepts it.
	expiry time.Duration
}

// send signs and sends a request once. An answer outside 2xx is a
// minio.ErrorResponse; else the caller closes the body.
func (b *Bucket) send(ctx context.Context, r request) (*http.Response, error) {
	req, err := b.sign(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	err = errorOf(resp)
	return nil, errors.Join(err, resp.Body.Close())
}

// sign builds the request. With an expiry the signature is in the URL, else in a
// header.
func (b *Bucket) sign(ctx context.Context, r request) (*http.Request, error) {
	keys, err := b.signingKeys(ctx)
	if err != nil {
		return nil, err
	}
	address := b.base.String() + s3utils.EncodePath(r.key)
	if len(r.query) > 0 {
		address += "?" + s3utils.QueryEncode(r.query)
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
	}
	if r.body != nil && r.expiry > 0 {
		// It is signed, and so the body cannot be exchanged.
		sum := md5.Sum(r.body)
		req.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	maps.Copy(req.Header, r.signed)
	if r.expiry > 0 {
		req = signer.PreSignV4(*req, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, b.region, int64(r.expiry/time.Second))
	} else {
		payload := emptySHA256
		if r.file != nil {
			req.Body, req.ContentLength = r.file, r.file.in.Length
		}
		if r.body != nil || r.file != nil {
			payload = unsignedPayload
		}
		req.Header.Set("X-Amz-Content-Sha256", payload)
		req = signer.SignV4(*req, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, b.region)
	}
	// Conditions and ranges are not part of the signature.
	maps.Copy(req.Header, r.header)
	return req, nil
}

// errorOf reads an answer that is an error. One to HEAD has no body; MinIO then tells
// the code in a header.
func errorOf(resp *http.Response) minio.ErrorResponse {
	r := minio.ErrorResponse{}
	if err := xml.NewDecoder(io.LimitReader(resp.Body, errorBodyLimit)).Decode(&r); err != nil {
		// Not S3's XML: a proxy, or no body. The status says what there is to say.
		r = minio.ErrorResponse{Message: http.StatusText(resp.StatusCode)}
	}
	r.StatusCode = resp.StatusCode
	if code := resp.Header.Get("X-Minio-Error-Code"); r.Code == "" {
		r.Code = code
	}
	if r.Code == "" {
		r.Code = "no code"
	}
	if r.Region == "" {
		r.Region = resp.Header.Get("X-Amz-Bucket-Region")
	}
	return r
}

// checkKey refuses what S3 can never accept as a key.
func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: key is empty", objstore.ErrInvalid)
	case len(key) > objstore.MaxKeyLength:
		return fmt.Errorf("%w: key has %d bytes, at most %d are possible", objstore.ErrInvalid, len(key), objstore.MaxKeyLength)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: key is not UTF-8", objstore.ErrInvalid)
	}
	return nil
}

func quote(etag string) string { return `"` + etag + `"` }

func unquote(etag string) string {
	return strings.TrimSuffix(strings.TrimPrefix(etag, `"`), `"`)
}
