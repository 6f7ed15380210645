package writeback

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// schedule holds the tasks in memory: when each is due, which are being worked on,
// which wait for another one, and which keys have a request under way.
//
// mu is a leaf: nothing is called with it held.
type schedule struct {
	mu      sync.Mutex
	items   map[task]*item
	due     dueHeap // of tasks that are handed out when they are due
	patient dueHeap // of tasks that make way for programs (calm.go)
	doomed  dueHeap // of keys that are handed out together (gather.go)
	gather  gather
	calm    calm
	waiting map[task]map[task]bool // blocker -> who waits for it
	busy    map[string]time.Time   // key -> when it is free again; zero: when its request ends
	running int                    // tasks that are worked on
	hurry   int                    // > 0: everything is due now (drain)
	wake    chan struct{}
	empty   chan struct{} // closed when the last task is done; nil while nobody waits for it
}

// item is a task's place in the schedule.
type item struct {
	task
	due      time.Time
	since    time.Time // the first change that was not sent yet
	heap     int       // index in the heap, -1 while it runs or waits
	in       *dueHeap  // that heap
	alone    bool      // a key that is not deleted with others
	needed   bool      // somebody waits for it
	begun    bool      // a step of it was done, or tried
	running  bool
	again    bool      // became due again while it ran
	changed  time.Time // for the first time then
	attempts int       // failures in a row
	blocker  task
}

func newSchedule() *schedule {
	return &schedule{
		items:   make(map[task]*item),
		waiting: make(map[task]map[task]bool),
		busy:    make(map[string]time.Time),
		wake:    make(chan struct{}, 1),
	}
}

// add makes a task due at a time, or earlier if it already was.
func (s *schedule) add(t task, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(t, at, false)
}

// need makes a task due now, because somebody waits for it.
func (s *schedule) need(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(t, time.Now(), true)
}

func (s *schedule) addLocked(t task, at time.Time, needed bool) {
	if s.hurry > 0 {
		at = time.Now()
	}
	it, ok := s.items[t]
	switch {
	case !ok:
		it = &item{task: t, due: at, since: time.Now(), needed: needed}
		s.items[t] = it
		s.pushLocked(it)
	case it.running:
		if !it.again {
			it.again, it.changed = true, time.Now()
		}
		it.due, it.needed = at, it.needed || needed
	case it.heap >= 0:
		if it.attempts > 0 {
			at = it.due
		}
		s.moveLocked(it, earliest(at, it.due), it.needed || needed)
	default:
		// It waits for a blocker: what changed may have removed the reason.
		s.unparkLocked(it, at, needed)
	}
	s.signal()
}

func (s *schedule) unparkLocked(it *item, at time.Time, needed bool) {
	delete(s.waiting[it.blocker], it.task)
	if len(s.waiting[it.blocker]) == 0 {
		delete(s.waiting, it.blocker)
	}
	it.blocker = task{}
	it.due, it.needed = at, it.needed || needed
	s.pushLocked(it)
}

func (s *schedule) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next waits for a task whose turn it is, or for doomed keys that are to go together, and
// marks them running.
func (s *schedule) next(ctx context.Context) ([]task, bool) {
	for {
		s.mu.Lock()
		now := time.Now()
		h, turn := s.firstLocked(now)
		if h != nil && !turn.After(now) {
			tasks := s.takeLocked(h, now)
			s.mu.Unlock()
			return tasks, true
		}
		s.mu.Unlock()
		var pause time.Duration = -1
		if h != nil {
			pause = turn.Sub(now)
		}
		if !sleepOr(ctx, s.wake, pause) {
			return nil, false
		}
	}
}

// more is next without waiting: false if it is no task's turn now.
func (s *schedule) more(ctx context.Context) ([]task, bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	h, turn := s.firstLocked(now)
	if h == nil || turn.After(now) {
		return nil, false
	}
	return s.takeLocked(h, now), true
}

// firstLocked is the heap whose first task is the next one, and when it is its turn.
func (s *schedule) firstLocked(now time.Time) (first *dueHeap, turn time.Time) {
	if len(s.due) > 0 {
		first, turn = &s.due, s.due.first().due
		if !turn.After(now) {
			return first, turn
		}
	}
	if len(s.patient) > 0 {
		if at := s.patientLocked(now); first == nil || at.Before(turn) {
			first, turn = &s.patient, at
		}
	}
	if len(s.doomed) > 0 {
		if at := s.gatheredLocked(now); first == nil || at.Before(turn) {
			first, turn = &s.doomed, at
		}
	}
	return first, turn
}

func (s *schedule) takeLocked(h *dueHeap, now time.Time) []task {
	if h == &s.doomed {
		return s.takeDoomedLocked(now)
	}
	return []task{s.popLocked(h).task}
}

// pushLocked puts a task where it waits to be handed out.
func (s *schedule) pushLocked(it *item) {
	switch {
	case it.key != "" && s.gather.most > 1 && !it.alone:
		it.in = &s.doomed
		s.gather.added(it)
	case it.needed, it.begun:
		it.in = &s.due
	default:
		it.in = &s.patient
	}
	heap.Push(it.in, it)
}

// moveLocked gives a task that waits to be handed out another time.
func (s *schedule) moveLocked(it *item, due time.Time, needed bool) {
	if due.Equal(it.due) && needed == it.needed {
		return
	}
	s.removeLocked(it)
	it.due, it.needed = due, needed
	s.pushLocked(it)
}

// removeLocked takes a task from where it waits to be handed out.
func (s *schedule) removeLocked(it *item) {
	heap.Remove(it.in, it.heap)
	if it.in == &s.doomed {
		s.gather.removed(it)
	}
}

// popLocked takes the first task out of a heap and marks it running.
func (s *schedule) popLocked(h *dueHeap) *item {
	it := h.first()
	s.removeLocked(it)
	it.running, it.begun, it.alone, it.needed = true, true, false, false
	s.running++
	if len(s.due)+len(s.patient)+len(s.doomed) > 0 {
		s.signal() // the next worker looks at the next task
	}
	return it
}

// sleepOr waits for a signal, or a time (negative: none), and reports whether ctx lives.
func sleepOr(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer:
	}
	return ctx.Err() == nil
}

// done removes a task, unless it became due again while it ran.
func (s *schedule) done(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[t]
	if it == nil {
		return
	}
	s.restLocked(it)
	it.attempts = 0
	if it.again {
		it.again, it.begun = false, false
		it.since = it.changed
		s.pushLocked(it)
		s.signal()
		return
	}
	delete(s.items, t)
	s.tellIdleLocked()
}

// restLocked notes that a task is not worked on any more. After the last one keys may go that
// waited for more of them.
func (s *schedule) restLocked(it *item) {
	if it.running {
		it.running = false
		s.running--
		if s.running == 0 && len(s.doomed) > 0 {
			s.signal()
		}
	}
}

// tellIdleLocked tells who waits for it that no task is left.
func (s *schedule) tellIdleLocked() {
	if s.idleLocked() && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// idleLocked reports whether no task is left. Nobody waits for a look for leftovers that
// has failed.
func (s *schedule) idleLocked() bool {
	sweep, ok := s.items[sweepTask]
	return len(s.items) == 0 || len(s.items) == 1 && ok && sweep.attempts > 0
}

// idle returns a channel that is closed once no task is left.
func (s *schedule) idle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idleLocked() {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	return s.empty
}

// repeat makes a running task due again: now, or when what was added meanwhile has
// settled. With progress its failures are forgotten. Who waits for the task looks again.
func (s *schedule) repeat(t task, progress bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[t]
	if progress {
		it.attempts = 0
	}
	at := time.Now()
	if it.again {
		at, it.begun = it.due, false
	}
	s.repeatLocked(t, at)
	s.releaseLocked(t)
}

// later makes a running task due again after a while, or when it was to be anyway.
func (s *schedule) later(t task, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[t]
	it.attempts = 0
	at := time.Now().Add(d)
	if s.hurry > 0 {
		at = time.Now()
	}
	if it.again {
		at = earliest(at, it.due)
	}
	s.repeatLocked(t, at)
	s.releaseLocked(t)
}

// changed reports whether a running task became due again while it ran.
func (s *schedule) changed(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items[t].again
}

func (s *schedule) repeatLocked(t task, at time.Time) {
	it := s.items[t]
	s.restLocked(it)
	it.again = false
	it.due = at
	s.pushLocked(it)
	s.signal()
}

// failed makes a running task due again after a pause that grows with its failures.
func (s *schedule) failed(t task, pause func(attempts int) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[t]
	it.attempts++
	s.repeatLocked(t, time.Now().Add(pause(it.attempts)))
	s.tellIdleLocked()
}

// park lets a running task wait for another one, or for the end of a key's rest. The
// caller holds the index's writer lock, under which alone blockers end: no end is missed.
func (s *schedule) park(t, blocker task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[t]
	if it.again {
		s.repeatLocked(t, time.Now())
		return
	}
	if until := s.busy[blocker.key]; until.After(time.Now()) {
		s.repeatLocked(t, until)
		return
	}
	s.restLocked(it)
	it.heap, it.blocker = -1, blocker
	if s.waiting[blocker] == nil {
		s.waiting[blocker] = make(map[task]bool)
	}
	s.waiting[blocker][t] = true
}

// release makes the tasks due that waited for one that has moved on.
func (s *schedule) release(blocker task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(blocker)
}

func (s *schedule) releaseLocked(blocker task) {
	waiting := s.waiting[blocker]
	if len(waiting) == 0 {
		return // as most often: then nobody is woken to find nothing
	}
	now := time.Now()
	for t := range waiting {
		s.unparkLocked(s.items[t], now, false)
	}
	s.signal()
}

// occupy marks keys as having a request under way.
func (s *schedule) occupy(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if k != "" {
			s.busy[k] = time.Time{}
		}
	}
}

// free ends occupy. The tasks that waited for the keys become due.
func (s *schedule) free(keys ...string) {
	s.mu.Lock()
	for _, k := range keys {
		delete(s.busy, k)
	}
	s.mu.Unlock()
	for _, k := range keys {
		if k != "" {
			s.release(keyTask(k))
		}
	}
}

// rest keeps a key occupied for a while after its request. Who waits for the key learns
// until when.
func (s *schedule) rest(key string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[key] = time.Now().Add(d)
	s.releaseLocked(keyTask(key))
}

// isBusy reports whether a key has a request under way or rests.
func (s *schedule) isBusy(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.busy[key]
	if ok && !until.IsZero() && !until.After(time.Now()) {
		delete(s.busy, key)
		return false
	}
	return ok
}

// rushAll makes every task due now, past failures' pauses too, and what is added until
// the returned function is called.
func (s *schedule) rushAll() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry++
	now := time.Now()
	for _, h := range []*dueHeap{&s.due, &s.patient, &s.doomed} {
		for _, it := range *h {
			it.due = now
		}
		heap.Init(h)
	}
	s.signal()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hurry--
	}
}

// rush makes one task due now, past failures' pauses too.
func (s *schedule) rush(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it, ok := s.items[t]; ok && it.heap >= 0 && !it.running {
		s.moveLocked(it, earliest(it.due, time.Now()), true)
		s.signal()
	}
}

// oldest is when the change was made that waits longest; zero if none waits.
func (s *schedule) oldest() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first time.Time
	for t, it := range s.items {
		if !t.sweep && (first.IsZero() || it.since.Before(first)) {
			first = it.since
		}
	}
	return first
}

// len is the number of tasks, those under way included.
func (s *schedule) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

// attempts is how often in a row a task has failed.
func (s *schedule) attempts(t task) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it, ok := s.items[t]; ok {
		return it.attempts
	}
	return 0
}
