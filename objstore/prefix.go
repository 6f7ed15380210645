package objstore

import (
	"context"
	"errors"
	"io"
	"strings"
)

// WithPrefix returns the part of a bucket whose keys begin with prefix, seen without
// it. The empty key is then a key like others: the object that is named like the prefix
// itself, which can be the marker of the part's root directory.
func WithPrefix(b Bucket, prefix string) Bucket {
	if prefix == "" {
		return b
	}
	return &prefixed{below: b, prefix: prefix}
}

type prefixed struct {
	below  Bucket
	prefix string
}

func (p *prefixed) Head(ctx context.Context, key string) (Object, error) {
	object, err := p.below.Head(ctx, p.prefix+key)
	return p.object(object), p.err(err)
}

func (p *prefixed) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	body, object, err := p.below.Get(ctx, p.prefix+key, opts)
	return body, p.object(object), p.err(err)
}

func (p *prefixed) Put(ctx context.Context, key string, body Body, opts PutOptions) (Object, error) {
	object, err := p.below.Put(ctx, p.prefix+key, body, opts)
	return p.object(object), p.err(err)
}

func (p *prefixed) Delete(ctx context.Context, key string, cond Condition) error {
	return p.err(p.below.Delete(ctx, p.prefix+key, cond))
}

func (p *prefixed) List(ctx context.Context, opts ListOptions) (Page, error) {
	opts.Prefix = p.prefix + opts.Prefix
	if opts.After != "" {
		opts.After = p.prefix + opts.After
	}
	page, err := p.below.List(ctx, opts)
	for i := range page.Objects {
		page.Objects[i] = p.object(page.Objects[i])
	}
	for i := range page.Prefixes {
		page.Prefixes[i] = strings.TrimPrefix(page.Prefixes[i], p.prefix)
	}
	return page, p.err(err)
}

func (p *prefixed) CreateUpload(ctx context.Context, key string, attrs Attributes) (string, error) {
	id, err := p.below.CreateUpload(ctx, p.prefix+key, attrs)
	return id, p.err(err)
}

func (p *prefixed) UploadPart(ctx context.Context, key, id string, number int, body Body) (Part, error) {
	part, err := p.below.UploadPart(ctx, p.prefix+key, id, number, body)
	return part, p.err(err)
}

func (p *prefixed) CopyPart(ctx context.Context, key, id string, number int, src CopySource) (Part, error) {
	src.Key = p.prefix + src.Key
	part, err := p.below.CopyPart(ctx, p.prefix+key, id, number, src)
	return part, p.err(err)
}

func (p *prefixed) CompleteUpload(ctx context.Context, key, id string, parts []Part, cond Condition) (Object, error) {
	object, err := p.below.CompleteUpload(ctx, p.prefix+key, id, parts, cond)
	return p.object(object), p.err(err)
}

func (p *prefixed) AbortUpload(ctx context.Context, key, id string) error {
	return p.err(p.below.AbortUpload(ctx, p.prefix+key, id))
}

func (p *prefixed) Capabilities() Capabilities { return p.below.Capabilities() }

// object returns an object with its key as the caller knows it.
func (p *prefixed) object(o Object) Object {
	o.Key = strings.TrimPrefix(o.Key, p.prefix)
	return o
}

// err returns an error with its key as the caller knows it.
func (p *prefixed) err(err error) error {
	if op, ok := errors.AsType[*OpError](err); ok {
		return &OpError{Op: op.Op, Key: strings.TrimPrefix(op.Key, p.prefix), Err: op.Err}
	}
	return err
}
