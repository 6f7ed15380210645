package writeback

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// sweepParked removes hidden copies that no inode has: of a process that ended, or of a
// request whose answer was lost.
func (w *Writeback) sweepParked() error {
	list := w.BeginListing()
	defer list.End()
	opts := objstore.ListOptions{Prefix: w.Layout.Records().MovingPrefix(), Bare: true}
	for {
		var page objstore.Page
		err := w.request(w.ctx, func(ctx context.Context) (err error) {
			page, err = w.Bucket.List(ctx, opts)
			return err
		})
		if err != nil {
			return err
		}
		for _, obj := range page.Objects {
			err := w.Index.Update(func(tx *index.Tx) error {
				if _, known, err := tx.Key(obj.Key); err != nil || known || list.Overtaken(obj.Key) {
					return err
				}
				w.Doomed(obj.Key)
				return errors.Join(tx.PutKey(index.Key{Key: obj.Key, ETag: obj.ETag, Size: obj.Size}), tx.Doom(obj.Key))
			})
			if err != nil {
				return err
			}
		}
		if opts.Token = page.Next; opts.Token == "" {
			return nil
		}
	}
}
