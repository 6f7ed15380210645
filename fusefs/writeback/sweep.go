package writeback

import (
	"context"
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// lateMost is after how long a request that was given up, or that a process left, is executed
// no more: stores take a signature that is 15 minutes away from their clock, either way.
const lateMost = 31 * time.Minute

// sweepAfter looks for leftovers after a pause, and once more when none can come any more.
func (w *Writeback) sweepAfter(pause time.Duration) {
	w.sched.add(sweepTask, time.Now().Add(pause))
	w.late.Reset(lateMost)
}

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
