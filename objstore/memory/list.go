package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"objvol/objstore"
)

// List returns one page. A page's token is the last key or prefix in it.
func (b *Bucket) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	var page objstore.Page
	err := b.do(ctx, objstore.OpList, opts.Prefix, func() error {
		if opts.Delimiter != "" && opts.Delimiter != "/" || opts.Max < 0 {
			return fmt.Errorf("%w: options of a listing", objstore.ErrInvalid)
		}
		page = b.pageLocked(opts)
		return nil
	})
	return page, err
}

func (b *Bucket) pageLocked(opts objstore.ListOptions) objstore.Page {
	limit := b.pageSize
	if opts.Max > 0 {
		limit = min(limit, opts.Max)
	}
	var page objstore.Page
	last := ""
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, opts.Prefix)
		if !ok {
			continue
		}
		entry := key
		name, _, folded := strings.Cut(rest, "/")
		if folded = folded && opts.Delimiter != ""; folded {
			entry = opts.Prefix + name + "/"
		}
		if opts.Token != "" && entry <= opts.Token || opts.Token == "" && key <= opts.After || folded && entry == last {
			continue
		}
		if len(page.Objects)+len(page.Prefixes) == limit {
			page.Next = last
			break
		}
		last = entry
		if folded {
			page.Prefixes = append(page.Prefixes, entry)
		} else {
			page.Objects = append(page.Objects, b.listed(key, opts.Bare))
		}
	}
	return page
}

// listed is what a listing tells of an object.
func (b *Bucket) listed(key string, bare bool) objstore.Object {
	full := describe(b.objects[key])
	object := objstore.Object{Key: full.Key, Size: full.Size, ETag: full.ETag, LastModified: full.LastModified}
	if b.caps.ListMetadata && !bare {
		object.Metadata, object.HasMetadata = full.Metadata, true
	}
	return object
}
