package writeback

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"objvol/objstore"
)

// putParts writes a large content in parts, however long that takes.
func (w *Writeback) putParts(ctx context.Context, j *job, c Content, attrs objstore.Attributes) (objstore.Object, error) {
	return w.upload(ctx, j, attrs, func(ctx context.Context, id string) ([]objstore.Part, error) {
		size := sizeOfParts(c.Size())
		parts := make([]objstore.Part, (c.Size()+size-1)/size)
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(partsAtOnce)
		for i := range parts {
			g.Go(func() error {
				if c.Changed() {
					return errChanged
				}
				at := int64(i) * size
				body := objstore.Section{R: c, Offset: at, Length: min(size, c.Size()-at)}
				err := w.request(ctx, func(ctx context.Context) (err error) {
					parts[i], err = w.Bucket.UploadPart(ctx, j.Key, id, i+1, body)
					return err
				})
				if err != nil && c.Changed() {
					return errChanged // it may be shorter than the part
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		if c.Changed() {
			return nil, errChanged
		}
		return parts, nil
	})
}

// sizeOfParts returns the size, in bytes, of the parts of an object.
func sizeOfParts(total int64) int64 {
	return max(partSize, (total+objstore.MaxParts-1)/objstore.MaxParts)
}

// upload creates an object by a multipart upload, whose condition is checked when it is
// completed.
func (w *Writeback) upload(ctx context.Context, j *job, attrs objstore.Attributes, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	var id string
	err := w.request(ctx, func(ctx context.Context) (err error) {
		id, err = w.Bucket.CreateUpload(ctx, j.Key, attrs)
		return err
	})
	if err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	obj, err := w.complete(ctx, j, id, send)
	if err != nil {
		// A context that ended must not keep the parts in the bucket.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if abortErr := w.Bucket.AbortUpload(clean, j.Key, id); abortErr != nil {
			w.Log.Warn("an unfinished upload is left in the bucket", "key", j.Key, "upload", id, "error", abortErr)
		}
	}
	return obj, err
}

func (w *Writeback) complete(ctx context.Context, j *job, id string, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	parts, err := send(ctx, id)
	if err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	var obj objstore.Object
	err = w.request(ctx, func(ctx context.Context) (err error) {
		obj, err = w.Bucket.CompleteUpload(ctx, j.Key, id, parts, j.Cond)
		return err
	})
	return obj, err
}

// request bounds one of several requests: all of them may take as long as the file is large.
func (w *Writeback) request(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	err := send(ctx)
	if err == nil {
		w.pulse.beat()
	}
	return err
}
