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
