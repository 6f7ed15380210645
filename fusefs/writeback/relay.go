package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// relay copies an object through this host: a small one, or in a store that cannot copy
// parts.
func (w *Writeback) relay(ctx context.Context, j *job, src index.Key, attrs objstore.Attributes) (objstore.Object, error) {
	if src.Size <= w.PartSize {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		bytes, err := w.fetch(ctx, src, 0, src.Size)
		if err != nil {
			return objstore.Object{}, &unsentError{err}
		}
		return w.Bucket.Put(ctx, j.Key, objstore.Bytes(bytes), objstore.PutOptions{Attributes: attrs, Condition: j.Cond})
	}
	return w.upload(ctx, j, attrs, func(ctx context.Context, id string) ([]objstore.Part, error) {
		size := partSize(src.Size, w.PartSize)
		var parts []objstore.Part
		for off := int64(0); off < src.Size; off += size {
			err := w.request(ctx, func(ctx context.Context) error {
				bytes, err := w.fetch(ctx, src, off, min(size, src.Size-off))
				if err != nil {
					return err
				}
				part, err := w.Bucket.UploadPart(ctx, j.Key, id, len(parts)+1, objstore.Bytes(bytes))
				parts = append(parts, part)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		return parts, nil
	})
}

// fetch reads a range of a copy's source.
func (w *Writeback) fetch(ctx context.Context, src index.Key, off, n int64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	body, _, err := w.Bucket.Get(ctx, src.Key, objstore.GetOptions{Offset: off, Length: n, IfMatch: src.ETag})
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrPreconditionFailed) {
		return nil, &sourceError{err}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // read only
	bytes := make([]byte, n)
	if _, err := io.ReadFull(body, bytes); err != nil {
		return nil, fmt.Errorf("read the source of a copy: %w", err)
	}
	return bytes, nil
}
