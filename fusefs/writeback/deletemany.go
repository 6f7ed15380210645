package writeback

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

const (
	// keysAtOnce is how many keys one transaction plans, or records, so that others get
	// their turn.
	keysAtOnce = 50
	// batchTime bounds the delete of many keys, their confirmation included.
	batchTime = time.Minute
)

// together reports whether what is planned for a key can be done with others.
func (w *Writeback) together(tx *index.Tx, s Step) bool {
	switch s.Action {
	case Nothing, Wait:
		return true
	case Delete:
		k, _, err := tx.Key(s.Key)
		return err == nil && !isOverwritten(k)
	case Resolve, Rescue, Park, Put, Copy, Count:
	}
	return false
}

// deleteMany does the next step of many keys that nobody wants: those that can be deleted
// go together.
func (w *Writeback) deleteMany(keys []task) {
	var jobs []*job
	for some := range slices.Chunk(keys, keysAtOnce) {
		jobs = append(jobs, w.beginMany(some)...)
	}
	if len(jobs) == 0 {
		return
	}
	batch := make([]objstore.Doomed, len(jobs))
	for i, j := range jobs {
		batch[i] = objstore.Doomed{Key: j.Key, IfMatch: j.Cond.IfMatch}
	}
	ctx, cancel := context.WithTimeout(w.ctx, batchTime)
	defer cancel()
	errs := w.Bucket.DeleteMany(ctx, batch)
	for len(jobs) > 0 {
		some := min(keysAtOnce, len(jobs))
		w.endMany(jobs[:some], errs[:some])
		jobs, errs = jobs[some:], errs[some:]
	}
}

// beginMany plans the next step of keys and returns what is to be deleted.
func (w *Writeback) beginMany(keys []task) []*job {
	var jobs []*job
	failed := make(map[task]error)
	err := w.Index.Update(func(tx *index.Tx) error {
		for _, t := range keys {
			j := &job{task: t, many: true}
			if err := w.beginJob(tx, j); err != nil {
				failed[t] = err
			} else if j.Action == Delete {
				jobs = append(jobs, j)
			}
		}
		return nil
	})
	if err != nil {
		// The index has failed, and nothing of it can be done any more.
		for _, j := range jobs {
			failed[j.task] = err
		}
		w.freeAll(jobs)
		jobs = nil
	}
	w.failMany(failed)
	return jobs
}

// endMany records what became of keys.
func (w *Writeback) endMany(jobs []*job, errs []error) {
	failed := make(map[task]error)
	err := w.Index.Update(func(tx *index.Tx) error {
		for i, j := range jobs {
			changed := errors.Is(errs[i], objstore.ErrPreconditionFailed)
			switch {
			case changed:
				w.Log.Info("an object changed before it was to be deleted: it stays", "key", j.Key)
			case errs[i] == nil:
				w.pulse.beat()
			case !errors.Is(errs[i], objstore.ErrNotFound):
				w.mayBeLate(j, errs[i], objstore.BatchExpiry)
				failed[j.task] = errs[i]
				j.free(w)
				continue
			}
			if err := w.goneJob(tx, j, changed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.freeAll(jobs)
		for _, j := range jobs {
			failed[j.task] = cmp.Or(failed[j.task], err)
		}
	}
	w.failMany(failed)
	for _, j := range jobs {
		if failed[j.task] == nil {
			w.ended(j.task)
		}
	}
}

// freeAll ends the occupation of the keys of steps that could not be recorded.
func (w *Writeback) freeAll(jobs []*job) {
	for _, j := range jobs {
		j.free(w)
	}
}

// failMany is fail for keys; the log has one of them.
func (w *Writeback) failMany(failed map[task]error) {
	if w.ctx.Err() != nil || len(failed) == 0 {
		return
	}
	logged := false
	for t, err := range failed {
		if !logged {
			w.failure.Store(&failure{t, err})
			w.Log.Warn("the bucket is behind", "key", t.key, "keys", len(failed), "error", err)
			logged = true
		}
		w.sched.failed(t, pause)
		w.watch.end(t, stepEnd{err: err})
	}
}
