package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// List returns one page. The key of its errors is the prefix.
func (b *Bucket) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	list := b.list
	if opts.Max == 1 && opts.Delimiter != "" {
		list = b.listOne
	}
	page, err := list(ctx, opts)
	return page, fail(ctx, objstore.OpList, opts.Prefix, err)
}

// listOne returns one entry of a listing with a delimiter. It asks for two: MinIO ends
// a listing too early that it has to continue at a directory with a marker and with
// max-keys=1. The token of a page that was cut here is NUL, which is in no server's
// token, the token that the page was asked with, NUL, and the entry to continue after.
func (b *Bucket) listOne(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	after := ""
	if cut, ok := strings.CutPrefix(opts.Token, "\x00"); ok {
		opts.Token, after, _ = strings.Cut(cut, "\x00")
	}
	opts.Max = 2
	page, err := b.list(ctx, opts)
	if err != nil {
		return page, err
	}
	page.Objects = slices.DeleteFunc(page.Objects, func(o objstore.Object) bool { return o.Key <= after })
	page.Prefixes = slices.DeleteFunc(page.Prefixes, func(p string) bool { return p <= after })
	if len(page.Objects)+len(page.Prefixes) < 2 {
		return page, nil
	}
	if len(page.Prefixes) == 0 || len(page.Objects) > 0 && page.Objects[0].Key < page.Prefixes[0] {
		page.Objects, page.Prefixes = page.Objects[:1], nil
		after = page.Objects[0].Key
	} else {
		page.Objects, page.Prefixes = nil, page.Prefixes[:1]
		after = page.Prefixes[0]
	}
	page.Next = "\x00" + opts.Token + "\x00" + after
	return page, nil
}

func (b *Bucket) list(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	if opts.Max < 0 || opts.Delimiter != "" && opts.Delimiter != "/" {
		return objstore.Page{}, fmt.Errorf("%w: delimiter %q, at most %d keys", objstore.ErrInvalid, opts.Delimiter, opts.Max)
	}
	resp, err := b.send(ctx, request{method: http.MethodGet, query: b.listQuery(opts)})
	if err != nil {
		return objstore.Page{}, err
	}
	result, err := decodeListing(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return objstore.Page{}, fmt.Errorf("%w: listing: %s", objstore.ErrUnavailable, err.Error())
	}
	return b.page(result)
}

func (b *Bucket) listQuery(opts objstore.ListOptions) url.Values {
	// Keys are listed in URL encoding: XML cannot hold control characters.
	q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {opts.Prefix}}
	if opts.Delimiter != "" {
		q.Set("delimiter", opts.Delimiter)
	}
	if opts.Token != "" {
		q.Set("continuation-token", opts.Token)
	} else if opts.After != "" {
		q.Set("start-after", opts.After)
	}
	if opts.Max > 0 {
		q.Set("max-keys", strconv.Itoa(opts.Max))
	}
	if b.caps.ListMetadata && !opts.Bare {
		q.Set("metadata", "true")
	}
	return q
}

func (b *Bucket) page(result minio.ListBucketV2Result) (objstore.Page, error) {
	decode := func(s string) (string, error) { return s, nil }
	if result.EncodingType == "url" {
		decode = url.QueryUnescape
	}
	page := objstore.Page{Objects: make([]objstore.Object, 0, len(result.Contents))}
	if result.IsTruncated {
		if page.Next = result.NextContinuationToken; page.Next == "" {
			return page, fmt.Errorf("%w: the store cut a listing and gave no token to continue it", objstore.ErrUnsupported)
		}
	}
	for _, info := range result.Contents {
		key, err := decode(info.Key)
		if err != nil {
			return page, fmt.Errorf("%w: listed key: %s", objstore.ErrUnavailable, err.Error())
		}
		page.Objects = append(page.Objects, b.listed(key, info))
	}
	for _, p := range result.CommonPrefixes {
		prefix, err := decode(p.Prefix)
		if err != nil {
			return page, fmt.Errorf("%w: listed prefix: %s", objstore.ErrUnavailable, err.Error())
		}
		page.Prefixes = append(page.Prefixes, prefix)
	}
	return page, nil
}

func (b *Bucket) listed(key string, info minio.ObjectInfo) objstore.Object {
	obj := objstore.Object{
		Key:          key,
		Size:         info.Size,
		ETag:         unquote(info.ETag),
		LastModified: info.LastModified.UTC().Truncate(time.Second),
		// Every object has at least a content type: none at all means that the
		// credentials do not allow to read this one.
		HasMetadata: b.caps.ListMetadata && len(info.UserMetadata) > 0,
	}
	if obj.HasMetadata {
		for name, value := range info.UserMetadata {
			setAttribute(&obj.Attributes, name, value)
		}
	}
	return obj
}
