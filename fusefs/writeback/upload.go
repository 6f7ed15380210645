package writeback

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// putPieces makes an object of pieces, however long that takes. The content is nil where
// all of them are copied.
func (w *Writeback) putPieces(ctx context.Context, j *job, c Content, p pieces, attrs objstore.Attributes) (objstore.Object, error) {
	return w.upload(ctx, j, attrs, func(ctx context.Context, id string) ([]objstore.Part, error) {
		return w.sendPieces(ctx, j.Key, id, c, p, nil)
	})
}

// sendPieces makes the parts of an upload of pieces, but for those that are known already, by
// number.
func (w *Writeback) sendPieces(ctx context.Context, key, id string, c Content, p pieces, known map[int]objstore.Part) ([]objstore.Part, error) {
	parts := make([]objstore.Part, len(p.all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i, one := range p.all {
		part, ok := known[one.number]
		if ok {
			parts[i] = part
			continue
		}
		g.Go(func() (err error) {
			if one.copied {
				parts[i], err = w.copyPiece(ctx, key, id, p, one)
			} else {
				parts[i], err = w.sendPiece(ctx, key, id, c, one)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if c != nil && c.Changed() {
		return nil, errChanged
	}
	return parts, nil
}

// sendPiece sends a piece of a content, unless that has changed.
func (w *Writeback) sendPiece(ctx context.Context, key, id string, c Content, one piece) (part objstore.Part, err error) {
	if c.Changed() {
		return part, errChanged
	}
	body := objstore.Section{R: c, Offset: one.Off, Length: one.Len()}
	err = w.request(ctx, func(ctx context.Context) (err error) {
		part, err = w.Bucket.UploadPart(ctx, key, id, one.number, body)
		return err
	})
	if err != nil && c.Changed() {
		err = errChanged // it may be shorter than the part
	}
	return part, err
}

// copyPiece copies a piece inside the store.
func (w *Writeback) copyPiece(ctx context.Context, key, id string, p pieces, one piece) (part objstore.Part, err error) {
	from := objstore.CopySource{Key: p.from.Key, IfMatch: p.from.ETag}
	if one.Len() < p.from.Size {
		from.Offset, from.Length = one.Off, one.Len()
	}
	err = w.request(ctx, func(ctx context.Context) (err error) {
		part, err = w.Bucket.CopyPart(ctx, key, id, one.number, from)
		return err
	})
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrPreconditionFailed) {
		err = &sourceError{err}
	}
	return part, err
}

// upload creates an object by a multipart upload, whose condition is checked when it is
// completed.
func (w *Writeback) upload(ctx context.Context, j *job, attrs objstore.Attributes, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	up, err := w.beginUpload(ctx, j.Key, attrs)
	if err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	return w.finish(ctx, j, up, send)
}

// finish completes an upload that was begun, with the parts that send returns, or aborts it.
func (w *Writeback) finish(ctx context.Context, j *job, up index.Upload, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	obj, err := w.complete(ctx, j, up.ID, send)
	if err != nil {
		w.abort(ctx, up)
		return obj, err
	}
	return obj, w.endUpload(up)
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
