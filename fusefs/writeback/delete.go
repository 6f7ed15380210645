package writeback

import (
	"context"
	"errors"
	"strings"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// deleteTime bounds one delete.
const deleteTime = 30 * time.Second

// delete removes a key that nobody wants.
func (w *Writeback) delete(j *job) error {
	ctx, cancel := context.WithTimeout(w.ctx, deleteTime)
	defer cancel()
	k, _, err := w.Index.Key(j.Key)
	if err != nil {
		return err
	}
	if isOverwritten(k) {
		err = w.disown(j, k)
	} else {
		err = w.Bucket.Delete(ctx, j.Key, j.Cond)
	}
	switch {
	case err == nil, errors.Is(err, objstore.ErrNotFound):
		return w.gone(j, false)
	case errors.Is(err, objstore.ErrPreconditionFailed):
		// Another writer's object has the name: it keeps it.
		w.Log.Info("an object changed before it was to be deleted: it stays", "key", j.Key)
		return w.gone(j, true)
	}
	w.mayBeLate(j, err, objstore.DeleteExpiry)
	return err
}

// isOverwritten reports whether a key is that of a marker to which another tool gave a
// content.
func isOverwritten(k index.Key) bool { return isMarker(k.Key) && k.Size > 0 }

// ended ends a task that is out of the queue.
func (w *Writeback) ended(t task) {
	w.succeeded(t)
	w.sched.done(t)
	w.sched.release(t)
	w.watch.end(t, stepEnd{})
}

// disown takes our attributes from a marker to which another tool gave a content: so it is
// no marker any more but what it was before, a key that is hidden.
func (w *Writeback) disown(j *job, k index.Key) error {
	ctx, cancel := context.WithTimeout(w.ctx, requestTime)
	defer cancel()
	_, err := w.copyObject(ctx, j, k, layout.Disowned(layout.Foreign(k.Foreign)))
	if source, ok := errors.AsType[*sourceError](err); ok {
		return source.err
	}
	return err
}

// gone records that a key holds nothing of ours any more. With changed set it holds
// something of another writer, which its directory's next listing finds.
func (w *Writeback) gone(j *job, changed bool) error {
	w.pulse.beat()
	return w.Index.Update(func(tx *index.Tx) error { return w.goneJob(tx, j, changed) })
}

// goneJob is gone inside a transaction.
func (w *Writeback) goneJob(tx *index.Tx, j *job, changed bool) error {
	defer j.free(w)
	k, ok, err := tx.Key(j.Key)
	if err != nil || !ok {
		return err
	}
	if err := evicted(tx, k); err != nil {
		return err
	}
	if changed {
		if strings.HasPrefix(j.Key, w.Layout.Records().MovingPrefix()) {
			// A later copy of ours whose answer was lost: nobody else writes there.
			j.free(w)
			w.sched.add(sweepTask, time.Now())
		} else if err := w.unlist(tx, j.Key); err != nil {
			return err
		}
	}
	return errors.Join(tx.DeleteKey(j.Key), tx.Spare(j.Key))
}

// unlist makes the directory of a key unlisted, so that it is listed before it is
// believed again.
func (w *Writeback) unlist(tx *index.Tx, key string) error {
	n, ok, err := parentOf(tx, w.Layout, key)
	if err != nil || !ok || n.Dir == nil {
		return err
	}
	n.Dir.Listed = false
	return tx.PutInode(n)
}

// rescue fetches what an unlinked, open file has only in the bucket.
func (w *Writeback) rescue(j *job) error {
	ctx, cancel := context.WithTimeout(w.ctx, requestTime)
	defer cancel()
	k, _, err := w.Index.Key(j.Key)
	if err != nil {
		return err
	}
	c, err := w.Files.Open(ctx, w.wholeOf(j.Ino), false, everything)
	if err == nil {
		return c.Close()
	}
	if _, gone := w.Index.Inode(j.Ino); errors.Is(gone, index.ErrNotFound) {
		return nil // closed meanwhile
	}
	return w.changedThere(ctx, j.Ino, k, err)
}
