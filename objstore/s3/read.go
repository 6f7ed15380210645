package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"objvol/objstore"
)

// Head returns an object's attributes.
func (b *Bucket) Head(ctx context.Context, key string) (objstore.Object, error) {
	if err := checkKey(key); err != nil {
		return objstore.Object{}, fail(ctx, objstore.OpHead, key, err)
	}
	resp, err := b.send(ctx, request{method: http.MethodHead, key: key})
	if err != nil {
		return objstore.Object{}, fail(ctx, objstore.OpHead, key, err)
	}
	obj, err := objectOf(key, resp)
	return obj, fail(ctx, objstore.OpHead, key, errors.Join(err, resp.Body.Close()))
}

// Get opens an object or a range of it.
func (b *Bucket) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	body, obj, err := b.get(ctx, key, opts)
	if err != nil {
		return nil, objstore.Object{}, fail(ctx, objstore.OpGet, key, err)
	}
	return &getBody{ctx: ctx, key: key, body: body}, obj, nil
}

func (b *Bucket) get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	var obj objstore.Object
	if err := checkKey(key); err != nil {
		return nil, obj, err
	}
	wanted, err := byteRange(opts.Offset, opts.Length)
	if err != nil {
		return nil, obj, err
	}
	header := http.Header{}
	if wanted != "" {
		header.Set("Range", wanted)
	}
	if opts.IfMatch != "" {
		header.Set("If-Match", quote(opts.IfMatch))
	}
	resp, err := b.send(ctx, request{method: http.MethodGet, key: key, header: header})
	if err != nil {
		return nil, obj, err
	}
	obj, err = objectOf(key, resp)
	if err == nil && wanted != "" && resp.StatusCode != http.StatusPartialContent {
		err = fmt.Errorf("%w: the store answered a range with the whole object", objstore.ErrUnsupported)
	}
	if err != nil {
		return nil, obj, errors.Join(err, resp.Body.Close())
	}
	return resp.Body, obj, nil
}

// byteRange returns the Range header for a part of an object, empty for all of it.
func byteRange(offset, length int64) (string, error) {
	switch {
	case offset < 0 || length < 0 || length > math.MaxInt64-offset:
		return "", fmt.Errorf("%w: %d bytes at %d", objstore.ErrInvalidRange, length, offset)
	case offset == 0 && length == 0:
		return "", nil
	case length == 0:
		return fmt.Sprintf("bytes=%d-", offset), nil
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1), nil
}

// getBody is the body of an answer. Its errors are OpErrors.
type getBody struct {
	ctx  context.Context
	key  string
	body io.ReadCloser
}

// Read reads the body; one that ends early fails with ErrUnavailable.
func (g *getBody) Read(p []byte) (int, error) {
	n, err := g.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fail(g.ctx, objstore.OpGet, g.key, err)
	}
	return n, err
}

// Close ends the transfer. Of a body that was not read to its end the connection is
// closed too.
func (g *getBody) Close() error { return g.body.Close() }

// keptHeaders are the standard headers that S3 keeps with an object, besides
// Content-Type.
var keptHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

const metadataPrefix = "X-Amz-Meta-"

// objectOf reads an object's attributes from the head of an answer to GET or HEAD.
func objectOf(key string, resp *http.Response) (objstore.Object, error) {
	size, err := sizeOf(resp)
	if err != nil {
		return objstore.Object{}, fmt.Errorf("%w: size of the object: %s", objstore.ErrUnavailable, err.Error())
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		return objstore.Object{}, fmt.Errorf("%w: time of the object: %s", objstore.ErrUnavailable, err.Error())
	}
	obj := objstore.Object{
		Key:          key,
		Size:         size,
		ETag:         unquote(resp.Header.Get("Etag")),
		LastModified: modified.UTC(),
		HasMetadata:  true,
	}
	for name, values := range resp.Header {
		setAttribute(&obj.Attributes, name, values[0])
	}
	return obj, nil
}

// setAttribute files a header under what it is. Others are ignored.
func setAttribute(a *objstore.Attributes, name, value string) {
	name = http.CanonicalHeaderKey(name)
	switch {
	case name == "Content-Type":
		a.ContentType = value
	case strings.HasPrefix(name, metadataPrefix):
		if a.Metadata == nil {
			a.Metadata = map[string]string{}
		}
		a.Metadata[strings.ToLower(strings.TrimPrefix(name, metadataPrefix))] = value
	case slices.Contains(keptHeaders, name):
		if name == "Content-Encoding" {
			value = withoutChunked(value)
		}
		if value == "" {
			return
		}
		if a.Headers == nil {
			a.Headers = map[string]string{}
		}
		a.Headers[name] = value
	}
}

// withoutChunked removes from a Content-Encoding what says how the object was uploaded.
// Some stores keep it.
func withoutChunked(encoding string) string {
	kept := slices.DeleteFunc(strings.Split(encoding, ","), func(s string) bool { return strings.TrimSpace(s) == "aws-chunked" })
	return strings.TrimSpace(strings.Join(kept, ","))
}

// sizeOf returns the size of the whole object in bytes, also from the answer to a range.
func sizeOf(resp *http.Response) (int64, error) {
	if resp.StatusCode == http.StatusPartialContent {
		_, total, found := strings.Cut(resp.Header.Get("Content-Range"), "/")
		if !found {
			return 0, errors.New("no Content-Range")
		}
		return strconv.ParseInt(total, 10, 64)
	}
	if resp.ContentLength < 0 {
		return 0, errors.New("no Content-Length")
	}
	return resp.ContentLength, nil
}
