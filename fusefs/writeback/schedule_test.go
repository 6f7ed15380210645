package writeback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/index"
)

// take returns the next task and how long it was waited for.
func take(t *testing.T, s *schedule) (task, time.Duration) {
	t.Helper()
	began := time.Now()
	next, ok := s.next(t.Context())
	if !ok || len(next) != 1 {
		t.Fatalf("%d tasks", len(next))
	}
	return next[0], time.Since(began)
}

// wantNext takes a task that comes after a pause.
func wantNext(t *testing.T, s *schedule, want task, after time.Duration) {
	t.Helper()
	if got, waited := take(t, s); got != want || waited != after {
		t.Fatalf("got %+v after %v, not %+v after %v", got, waited, want, after)
	}
}

// wantNone says that no task comes within an hour.
func wantNone(t *testing.T, s *schedule) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if got, ok := s.next(ctx); ok {
		t.Fatalf("got %+v", got)
	}
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

// Who waits for tasks is woken where there is one, and not by the end of what nobody waited for.
func TestWokenForTasksAlone(t *testing.T) {
	s := newSchedule()
	woken := func() bool {
		select {
		case <-s.wake:
			return true
		default:
			return false
		}
	}
	first, second := inodeTask(1), inodeTask(2)
	s.need(first)
	if !woken() {
		t.Error("not for a task")
	}
	take(t, s)
	s.occupy("key")
	s.free("key")
	s.release(first)
	s.done(first)
	if woken() {
		t.Error("although nothing is left to do")
	}
	s.need(first)
	s.need(second)
	take(t, s)
	take(t, s)
	s.occupy("key")
	s.park(second, keyTask("key"))
	woken()
	s.free("key")
	if !woken() {
		t.Error("not for a task that waited for a key")
	}
}

// A change waits until it was sent, one that comes meanwhile waits from then on, and the look
// for leftovers is no change.
func TestOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		oldest := func(want time.Duration) {
			t.Helper()
			if at := s.oldest(); at.IsZero() || time.Since(at) != want {
				t.Errorf("%v ago, not %v", time.Since(at), want)
			}
		}
		s.add(sweepTask, in(time.Hour))
		if at := s.oldest(); !at.IsZero() {
			t.Errorf("%v when nothing was changed", at)
		}
		s.add(inodeTask(1), in(0))
		time.Sleep(time.Second)
		s.add(inodeTask(2), in(5*time.Second))
		s.add(inodeTask(1), in(0))
		oldest(time.Second)
		if got, ok := s.next(t.Context()); !ok || got[0] != inodeTask(1) {
			t.Fatalf("%v", got)
		}
		time.Sleep(time.Second)
		s.add(inodeTask(1), in(0))
		time.Sleep(2 * time.Second)
		s.add(inodeTask(1), in(0))
		oldest(4 * time.Second)
		s.done(inodeTask(1))
		oldest(3 * time.Second) // the other
		for range 2 {
			got, ok := s.next(t.Context())
			if !ok {
				t.Fatal("no task")
			}
			s.done(got[0])
		}
		if at := s.oldest(); !at.IsZero() {
			t.Errorf("%v when all was sent", at)
		}
	})
}

// Tasks come in the order in which they are due; what is added again comes at the
// earlier time.
func TestDueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.add(inodeTask(1), in(3*time.Second))
		s.add(inodeTask(2), in(2*time.Second))
		s.add(inodeTask(3), in(9*time.Second))
		s.add(inodeTask(3), in(time.Second))
		s.add(inodeTask(3), in(5*time.Second))
		wantNext(t, s, inodeTask(3), time.Second)
		wantNext(t, s, inodeTask(2), time.Second)
		wantNext(t, s, inodeTask(1), time.Second)
		for i := range 3 {
			s.done(inodeTask(index.Ino(i + 1)))
		}
		if s.len() != 0 {
			t.Errorf("%d tasks are left", s.len())
		}
		wantNone(t, s)
	})
}

// A task that is added while it runs comes again when that has settled, whether the run
// was all it needed or not.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		one := inodeTask(1)
		s.add(one, time.Now())
		wantNext(t, s, one, 0)
		s.add(one, in(time.Second))
		if !s.changed(one) {
			t.Error("the task did not change while it ran")
		}
		s.done(one)
		wantNext(t, s, one, time.Second)
		s.add(one, in(2*time.Second))
		s.repeat(one, true)
		wantNext(t, s, one, 2*time.Second)
		s.repeat(one, true)
		wantNext(t, s, one, 0)
		if s.changed(one) {
			t.Error("the task changed while it ran")
		}
	})
}

// Failures are followed by growing pauses, which progress alone ends. Who is in a hurry
// does not wait for them.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		one := inodeTask(1)
		s.add(one, time.Now())
		wantNext(t, s, one, 0)
		for _, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			s.failed(one, pause)
			s.add(one, time.Now()) // a further change does not hurry
			wantNext(t, s, one, want)
		}
		s.repeat(one, false)
		wantNext(t, s, one, 0)
		s.failed(one, pause)
		wantNext(t, s, one, 4*time.Second)
		for range 9 {
			s.failed(one, pause)
			take(t, s)
		}
		s.failed(one, pause)
		wantNext(t, s, one, retryMost)
		s.failed(one, pause)
		s.rush(one)
		wantNext(t, s, one, 0)
		s.repeat(one, true)
		wantNext(t, s, one, 0)
		s.failed(one, pause)
		wantNext(t, s, one, retryFirst)
	})
}

// Draining ignores settling times and pauses, of what is there and of what comes.
func TestRushAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.add(inodeTask(1), time.Now())
		take(t, s)
		s.failed(inodeTask(1), pause)
		s.add(inodeTask(2), in(time.Hour))
		end := s.rushAll()
		_, first := take(t, s)
		_, second := take(t, s)
		s.add(inodeTask(3), in(time.Hour))
		_, third := take(t, s)
		if first+second+third != 0 {
			t.Errorf("waited %v, %v, %v", first, second, third)
		}
		idle := s.idle()
		end()
		s.add(inodeTask(4), in(time.Second))
		for i := range 3 {
			s.done(inodeTask(index.Ino(i + 1)))
		}
		wantNext(t, s, inodeTask(4), time.Second)
		select {
		case <-idle:
			t.Error("idle with a task under way")
		default:
		}
		s.done(inodeTask(4))
		<-idle
		<-s.idle()
	})
}

// A task that waits is woken by the end of its blocker, by a step of it, by the end of a
// key's request, and by news of itself.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		one, two, key := inodeTask(1), inodeTask(2), keyTask("k")
		s.add(one, time.Now())
		wantNext(t, s, one, 0)
		s.park(one, two)
		wantNone(t, s)

		s.add(two, time.Now())
		wantNext(t, s, two, 0)
		s.repeat(two, true)
		if a, b := first(take(t, s)), first(take(t, s)); a == b || a != one && b != one {
			t.Fatalf("a step woke %v and %v", a, b)
		}
		s.park(one, two)
		s.done(two)
		wantNone(t, s) // done alone says nothing: it may run again
		s.release(two)
		wantNext(t, s, one, 0)

		s.occupy("k", "")
		if !s.isBusy("k") || s.isBusy("") {
			t.Error("what is busy?")
		}
		s.park(one, key)
		wantNone(t, s)
		s.free("k", "")
		wantNext(t, s, one, 0)

		s.park(one, key)
		s.add(one, in(time.Second))
		wantNext(t, s, one, time.Second)

		s.add(one, in(time.Second))
		s.park(one, key) // news while it ran: it looks again
		wantNext(t, s, one, 0)
	})
}

func first[A, B any](a A, _ B) A { return a }

// Who waits for a key that rests comes when the rest ends.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		one, two, key := inodeTask(1), inodeTask(2), keyTask("k")
		s.occupy("k")
		s.add(one, time.Now())
		wantNext(t, s, one, 0)
		s.park(one, key)
		s.rest("k", 5*time.Second)
		wantNext(t, s, one, 0)
		s.park(one, key)
		s.add(two, in(time.Second))
		wantNext(t, s, two, time.Second)
		s.park(two, key)
		if _, waited := take(t, s); waited != 4*time.Second || s.isBusy("k") {
			t.Errorf("waited %v; busy: %t", waited, s.isBusy("k"))
		}
		take(t, s)
		s.park(one, key) // the rest is over: it waits for the task
		wantNone(t, s)
	})
}

// Whatever becomes of tasks, none is lost: after every add there is a run that begins
// later.
func TestNoTaskIsLost(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { loseNone(t, rand.New(rand.NewPCG(seed, 3))) })
		})
	}
}

func loseNone(t *testing.T, r *rand.Rand) {
	t.Helper()
	s := newSchedule()
	var writer sync.Mutex // stands for the index's lock
	added, seen := map[task]int{}, map[task]int{}
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				next, ok := s.next(ctx)
				if !ok {
					return
				}
				x := next[0]
				time.Sleep(time.Millisecond)
				writer.Lock()
				seen[x] = added[x]
				switch blocker := inodeTask(x.ino + 1); r.IntN(5) {
				case 0:
					s.failed(x, pause)
				case 1:
					s.repeat(x, r.IntN(2) == 0)
				case 2:
					if x.ino < 5 { // a chain, no circle
						added[blocker]++
						s.add(blocker, time.Now())
						s.park(x, blocker)
						break
					}
					fallthrough
				default:
					s.done(x)
					s.release(x)
				}
				writer.Unlock()
			}
		})
	}
	for range 300 {
		x := inodeTask(1 + drawIno(r, &writer))
		writer.Lock()
		added[x]++
		settle := time.Duration(r.IntN(3)) * time.Second
		writer.Unlock()
		s.add(x, time.Now().Add(settle))
		if settle == 0 {
			s.rush(x)
		}
		time.Sleep(settle / 10)
	}
	<-s.idle()
	cancel()
	workers.Wait()
	for x, n := range added {
		if seen[x] != n {
			t.Errorf("%+v was added %d times, the last look was after %d", x, n, seen[x])
		}
	}
	if len(s.waiting)+len(s.due) != 0 {
		t.Error("something is left")
	}
}

// drawIno draws an inode number; the source is shared with the workers.
func drawIno(r *rand.Rand, mu *sync.Mutex) index.Ino {
	mu.Lock()
	defer mu.Unlock()
	return index.Ino(r.IntN(5))
}

// Who has done a task takes the next one whose turn it is, and waits for none.
func TestMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		more := func(want ...task) {
			t.Helper()
			began := time.Now()
			got, ok := s.more(t.Context())
			if !slices.Equal(got, want) || ok != (len(want) > 0) || time.Since(began) > 0 {
				t.Errorf("%v, %v after %v, want %v", got, ok, time.Since(began), want)
			}
		}
		more()
		one, two := inodeTask(1), inodeTask(2)
		s.add(one, in(0))
		s.add(two, in(time.Second))
		more(one)
		more()
		time.Sleep(time.Second)
		s.calm.asked.beat()
		more() // it makes way
		s.need(two)
		more(two)
		more()
		s.add(inodeTask(3), in(0))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if got, ok := s.more(ended); ok {
			t.Errorf("%v after the end", got)
		}
	})
}
