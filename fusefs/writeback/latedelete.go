package writeback

import (
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// A store that does not condition deletes may execute one whose answer was lost until it
// expires: nothing else happens to its key before, in the next process neither (hard-cases 7).

// metaAnswered has a value in the index from a Close that left no such delete to the next Start.
const metaAnswered = "deletes-answered"

// mayBeLate lets the key of a delete rest if that may still be executed after an error.
func (w *Writeback) mayBeLate(j *job, err error, expiry time.Duration) {
	if !objstore.Refused(err) && !w.Bucket.Capabilities().ConditionalDelete {
		j.rest = expiry
		w.answered.Store(false)
	}
}

// restDoomed lets the keys rest whose deletes an earlier process may have left.
func (w *Writeback) restDoomed() error {
	answered, err := w.Index.Meta(metaAnswered)
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		return err
	}
	if len(answered) > 0 {
		w.answered.Store(true)
		// On the disk before the first delete: it would be believed after a power cut.
		return errors.Join(w.Index.Update(func(tx *index.Tx) error { return tx.PutMeta(metaAnswered, nil) }), w.Index.Sync())
	}
	if w.Bucket.Capabilities().ConditionalDelete {
		return nil
	}
	expiry := objstore.DeleteExpiry
	if w.Bucket.Capabilities().BatchDelete {
		expiry = objstore.BatchExpiry
	}
	w.answered.Store(true)
	return w.Index.Doomed(func(key string) bool {
		w.sched.rest(key, expiry)
		w.answered.Store(false)
		return true
	})
}

// leaveDoomed tells the next process if it need not wait for deletes of this one, or of one
// before. That it does is no harm.
func (w *Writeback) leaveDoomed() {
	if !w.answered.Load() {
		return
	}
	left := false
	if err := w.Index.Doomed(func(string) bool { left = true; return false }); err == nil && left {
		_ = w.Index.Update(func(tx *index.Tx) error { return tx.PutMeta(metaAnswered, []byte{1}) })
	}
}
