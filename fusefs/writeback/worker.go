package writeback

import (
	"errors"
	"time"

	"objvol/fusefs/index"
)

// work has tasks done until Close, by as many goroutines as there is work for: a volume that
// rests costs one.
func (w *Writeback) work() {
	places := make(chan struct{}, w.Workers)
	for {
		select {
		case places <- struct{}{}:
		case <-w.ctx.Done():
			return
		}
		tasks, ok := w.sched.next(w.ctx)
		if !ok {
			return
		}
		w.done.Go(func() {
			defer func() { <-places }()
			// A stack that has grown is of use for the next task.
			for ; ok; tasks, ok = w.sched.more(w.ctx) {
				w.do(tasks)
			}
		})
	}
}

// do does the next step of a task, or of keys that go together.
func (w *Writeback) do(tasks []task) {
	if len(tasks) > 1 {
		w.deleteMany(tasks)
	} else if err := w.run(tasks[0]); err != nil {
		w.fail(tasks[0], err)
	}
}

// run does the next step of a task. It returns an error when the task is to be tried
// again later; otherwise the schedule already knows what becomes of it.
func (w *Writeback) run(t task) error {
	if t.sweep {
		err := errors.Join(w.sweepParked(), w.sweepUploads())
		if err == nil {
			w.sched.done(t)
		}
		return err
	}
	if t.tree {
		err := w.walkSubtree(t.ino)
		if err == nil {
			w.succeeded(t)
		}
		return err
	}
	j, err := w.begin(t)
	if err != nil {
		return err
	}
	switch j.Action {
	case Nothing, Wait, Bind:
		return nil
	case Resolve:
		err = w.resolve(j)
	case Rescue:
		err = w.rescue(j)
	case Park:
		err = w.park(j)
	case Put:
		err = w.put(j)
	case Copy:
		err = w.copy(j)
	case Count:
		err = w.countLinks(w.ctx, j.Ino)
	case Delete:
		err = w.delete(j)
		j.settled = err == nil
	}
	if j.settled {
		w.ended(t)
		return nil
	}
	if !j.freed {
		// Under the index's lock: nobody plans between the look at a busy key and
		// the wait for it.
		err = errors.Join(err, w.Index.Update(func(*index.Tx) error { j.free(w); return nil }))
	}
	if j.leftover {
		// Not before: the look says nothing of a key with a request under way.
		w.sweepAfter(retryFirst)
	}
	if err != nil {
		return err
	}
	// A look alone does not end a row of failures.
	progress := j.Action != Resolve
	if progress {
		w.succeeded(t)
	}
	if isEarly(j.nonce) && j.placed {
		w.sched.later(t, settleEarly)
	} else {
		w.sched.repeat(t, progress) // look again: most often there is nothing left
	}
	w.watch.end(t, stepEnd{looked: !progress})
	return nil
}

// job is a step under way.
type job struct {
	Step
	task   task
	nonce  string  // of a write
	late   bool    // it sets attributes alone: see setattributes.go
	stream *stream // that has sent some of it already
	// foreign is what a write sends beside our own attributes.
	foreign index.Foreign
	rest    time.Duration // how long Key stays occupied after the step
	many    bool          // it is one of many keys that go together
	settled bool          // the task is out of the queue
	freed   bool
	placed  bool // the bucket has what was written
	// leftover: a hidden copy may be in the bucket that no inode has.
	leftover bool
}

// free ends the occupation of the step's keys, once. It is called inside index.Update.
func (j *job) free(w *Writeback) {
	if j.freed {
		return
	}
	j.freed = true
	w.touched.end(j.Key)
	if j.rest > 0 {
		if j.From != j.Key {
			w.sched.free(j.From)
		}
		w.sched.rest(j.Key, j.rest)
		return
	}
	w.sched.free(j.Key, j.From)
}

// begin plans a task's next step and records that it begins, in one transaction.
func (w *Writeback) begin(t task) (*job, error) {
	j := &job{task: t}
	err := w.Index.Update(func(tx *index.Tx) error { return w.beginJob(tx, j) })
	return j, err
}

// beginJob is begin inside a transaction.
func (w *Writeback) beginJob(tx *index.Tx, j *job) error {
	step, err := w.planner(tx).plan(j.task)
	if err != nil {
		return err
	}
	j.Step = step
	if j.many && !w.together(tx, step) {
		j.Step = Step{}
		w.sched.single(j.task)
		return nil
	}
	switch step.Action {
	case Nothing:
		return w.settled(tx, j.task)
	case Bind:
		if err := bind(tx, step.Ino); err != nil {
			return err
		}
		return w.beginJob(tx, j)
	case Wait:
		if err := w.queue(tx, step.Blocker); err != nil {
			return err
		}
		w.sched.park(j.task, step.Blocker)
		return nil
	case Put, Copy:
		if j.late, err = w.setsAttributes(tx, step); err != nil {
			return err
		}
		if err := w.announce(tx, j); err != nil {
			return err
		}
	case Resolve, Rescue, Park, Count, Delete:
	}
	w.sched.occupy(step.Key, step.From)
	w.touched.begin(step.Key)
	return nil
}

// settled takes a task out of the queue: the bucket is as it should be.
func (w *Writeback) settled(tx *index.Tx, t task) error {
	var err error
	if t.key != "" {
		err = errors.Join(tx.Spare(t.key), forgetGone(tx, t.key))
	} else {
		err = w.sentAll(tx, t.ino)
	}
	if err != nil {
		return err
	}
	w.Ended(t.ino)
	w.succeeded(t)
	w.sched.done(t)
	w.sched.release(t)
	w.watch.end(t, stepEnd{})
	return nil
}

// sentAll takes an inode that needs no more out of the queue, and forgets its writes.
func (w *Writeback) sentAll(tx *index.Tx, ino index.Ino) error {
	w.dirTimes.forget(ino)
	if err := tx.ClearDirty(ino); err != nil {
		return err
	}
	n, err := tx.Inode(ino)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Sending == "" {
		return nil
	}
	if err != nil {
		return err
	}
	err = w.forget(tx, n.Sending)
	n.Sending = ""
	return errors.Join(err, keep(tx, n))
}

// forgetGone drops the record of a key that holds nothing and has no write under way.
func forgetGone(tx *index.Tx, key string) error {
	k, ok, err := tx.Key(key)
	if err != nil || !ok || !k.Gone || k.Request != "" {
		return err
	}
	return tx.DeleteKey(key)
}

// queue makes sure that a blocker is in the queue: somebody waits for it.
func (w *Writeback) queue(tx *index.Tx, t task) error {
	if t.key == "" {
		if err := errors.Join(w.needMarker(tx, t.ino), tx.SetDirty(t.ino)); err != nil {
			return err
		}
		w.sched.need(t)
		return nil
	}
	if w.sched.isBusy(t.key) {
		return nil // its request ends by itself
	}
	if err := tx.Doom(t.key); err != nil {
		return err
	}
	w.sched.need(t)
	return nil
}

// The pauses between attempts at a task: from retryFirst, doubled up to retryMost.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

func pause(attempts int) time.Duration {
	return min(retryFirst<<min(attempts-1, 10), retryMost)
}

// fail records a failure and has the task tried again after a pause.
func (w *Writeback) fail(t task, err error) {
	if w.ctx.Err() != nil {
		return
	}
	if errors.Is(err, errChanged) || w.isGone(t) {
		w.sched.failed(t, pause)
		return
	}
	if t.sweep {
		w.Log.Info("leftovers in the bucket stay for now", "error", err)
		w.sched.failed(t, pause)
		return
	}
	w.failure.Store(&failure{t, err})
	w.Log.Warn("the bucket is behind", "inode", uint64(t.ino), "key", t.key, "error", err)
	if t.key == "" {
		w.Files.Failed(w.wholeOf(t.ino), err)
	}
	w.sched.failed(t, pause)
	w.watch.end(t, stepEnd{err: err})
}

// isGone reports whether a task's inode has lost its last name while it was sent: nobody misses
// what did not get there.
func (w *Writeback) isGone(t task) bool {
	if t.ino == 0 {
		return false
	}
	n, err := w.Index.Inode(t.ino)
	return errors.Is(err, index.ErrNotFound) || err == nil && n.Nlink == 0
}

// wholeOf returns the inode that a task's inode shows as: a member as what it belongs to.
func (w *Writeback) wholeOf(ino index.Ino) index.Ino {
	n, err := w.Index.Inode(ino)
	if err != nil {
		return ino
	}
	return n.Whole()
}

// errChanged ends an upload whose file was written to meanwhile: it is sent again.
var errChanged = errors.New("the file was written to while it was sent")
