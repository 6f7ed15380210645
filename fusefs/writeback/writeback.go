package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// Config is what a Writeback stands on.
type Config struct {
	Index    *index.Index
	Bucket   objstore.Bucket
	Layout   layout.Layout
	Defaults layout.Defaults // for objects without metadata
	Files    Files
	Host     string // names this host in conflict names
	Log      *slog.Logger
	// Workers is how many tasks are worked on at once; 0 means DefaultWorkers.
	Workers int
	// PartSize is the size of the parts of a large object, in bytes; 0 means DefaultPartSize.
	PartSize int64
}

// DefaultWorkers is for a store far away: each worker has at most one object under way. How
// many requests a store near by gets at once is the bucket's to limit.
const DefaultWorkers = 128

// inlineSize is the content, in bytes, up to which a moved or re-attributed file is sent
// again rather than copied inside the store: one request instead of three, or one with a
// strict condition instead of one without.
const inlineSize = 1 << 20

// Writeback reconciles one volume's bucket with its index.
type Writeback struct {
	Config
	sched   *schedule
	touched *touched
	// dirTimes are the directories that wait only to be given their times.
	dirTimes dirTimes
	// resolved are the keys with an unfinished write whose end was looked up since.
	resolved sync.Map // key -> struct{}
	begun    begun
	streams  streams
	// sendsWhole: the store has refused an object of sent and copied parts.
	sendsWhole atomic.Bool
	// setsNone: it has refused attributes without the bytes.
	setsNone atomic.Bool
	// answered: no delete may be executed late, of this process or of one before.
	answered atomic.Bool
	late     *time.Timer // of the look for leftovers that come late
	watch    watchers
	pulse    pulse

	conflicts atomic.Int64
	failure   atomic.Pointer[failure]

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New returns a Writeback that does nothing until Start, and needs no Bucket before.
func New(c Config) *Writeback {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	c.PartSize = cmp.Or(c.PartSize, DefaultPartSize)
	w := &Writeback{Config: c, sched: newSchedule(), touched: newTouched(), dirTimes: dirTimes{gens: make(map[index.Ino]uint64)}}
	w.sched.calm.idle = newIdle()
	w.streams.all, w.streams.places = make(map[index.Ino]*stream), make(chan struct{}, streamsAtOnce)
	w.late = time.AfterFunc(lateMost, func() { w.sched.add(sweepTask, time.Now()) })
	w.late.Stop()
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// Start reads the queues of the index and begins to work on them. Hidden copies that no
// inode has any more, and uploads that nobody goes on with, are removed behind it.
func (w *Writeback) Start() error {
	if w.Bucket.Capabilities().BatchDelete {
		w.sched.together(objstore.MaxDeletes)
	}
	if err := w.restDoomed(); err != nil {
		return fmt.Errorf("read the queue: %w", err)
	}
	if w.Bucket.Capabilities().SetAttributes {
		if err := w.restAll(); err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
	}
	if err := w.enqueue(); err != nil {
		return err
	}
	w.sweepAfter(0)
	w.done.Go(w.work)
	return nil
}

// enqueue makes everything due that the index has queued.
func (w *Writeback) enqueue() error {
	now := time.Now()
	add := func(t task) bool { w.sched.add(t, now); return true }
	err := errors.Join(
		w.Index.Dirty(func(ino index.Ino) bool { return add(inodeTask(ino)) }),
		w.Index.Doomed(func(key string) bool { return add(keyTask(key)) }),
		w.Index.Subtrees(func(dir index.Ino) bool { return add(treeTask(dir)) }))
	if err != nil {
		return fmt.Errorf("read the queue: %w", err)
	}
	return nil
}

// Close stops the work and waits for it. What is not in the bucket stays queued in the
// index.
func (w *Writeback) Close() {
	w.cancel()
	w.done.Wait()
	w.late.Stop()
	w.leaveDoomed()
}

// Dirty tells that an inode was marked dirty in the index; it is looked at after settle.
func (w *Writeback) Dirty(ino index.Ino, settle time.Duration) {
	w.sched.add(inodeTask(ino), time.Now().Add(settle))
}

// Doomed tells that a key was doomed in the index.
func (w *Writeback) Doomed(key string) { w.sched.add(keyTask(key), time.Now().Add(settleDelete)) }

// Moved tells that a directory was queued in the index because its subtree moved.
func (w *Writeback) Moved(dir index.Ino) { w.sched.add(treeTask(dir), time.Now()) }

// settleDelete lets a name that is created again at once overwrite its key.
const settleDelete = 100 * time.Millisecond

// Conflicts is how many files were kept under a conflict name.
func (w *Writeback) Conflicts() int64 { return w.conflicts.Load() }

// failure is why a task was not done.
type failure struct {
	task
	err error
}

// LastError is the latest failure to write, nil once what failed has been done.
func (w *Writeback) LastError() error {
	if f := w.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

// succeeded ends the failure of a task.
func (w *Writeback) succeeded(t task) {
	if f := w.failure.Load(); f != nil && f.task == t {
		w.failure.CompareAndSwap(f, nil)
	}
}

// QueueLength is the number of tasks that are not done.
func (w *Writeback) QueueLength() int { return w.sched.len() }

// Oldest is when the change was made that has waited longest to be in the bucket, or when
// Start found it; zero if none waits.
func (w *Writeback) Oldest() time.Time { return w.sched.oldest() }

func (w *Writeback) planner(r Reader) planner {
	return planner{
		Reader:   r,
		layout:   w.Layout,
		busy:     w.sched.isBusy,
		resolved: func(key string) bool { _, ok := w.resolved.Load(key); return ok },
		local: func(n index.Inode) (bool, error) {
			if n.Size > min(inlineSize, w.putSize()) {
				return false, nil
			}
			c, err := r.Content(n.Whole())
			return err == nil && len(c.Absent(0, n.Size)) == 0, err
		},
	}
}

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
	case Nothing, Wait:
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
	if errors.Is(err, errChanged) {
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
