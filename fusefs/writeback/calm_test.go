package writeback

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/index"
)

// ask stands for a program that asks for something every few milliseconds, for a while or
// until it is told to end.
func ask(s *schedule, d time.Duration) (end func()) {
	ctx, cancel := context.WithTimeout(context.Background(), d+time.Millisecond)
	var done sync.WaitGroup
	s.calm.asked.beat()
	done.Go(func() {
		for sleepOr(ctx, nil, 10*time.Millisecond) {
			s.calm.asked.beat()
		}
	})
	return func() { cancel(); done.Wait() }
}

// While programs work, what is due makes way until they rest, but not for long.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.together(4)
		one, two, key := inodeTask(1), inodeTask(2), keyTask("k")

		// A short burst: deletes begin just behind it, then all at once.
		defer ask(s, time.Second)()
		s.add(one, in(100*time.Millisecond))
		s.add(two, in(0))
		s.add(key, in(settleDelete))
		wantKeys(t, s, time.Second+deleteQuiet, "k")
		wantNext(t, s, two, calmQuiet-deleteQuiet)
		wantNext(t, s, one, 0)
		s.done(one)
		s.done(two)
		s.done(key)

		// A long one: each waits for its own time.
		const before = 200 * time.Millisecond
		defer ask(s, 10*time.Second)()
		s.add(one, in(100*time.Millisecond))
		s.add(key, in(settleDelete))
		time.Sleep(before)
		s.add(two, in(100*time.Millisecond))
		wantNext(t, s, one, calmMost+100*time.Millisecond-before)
		wantKeys(t, s, 0, "k")
		wantNext(t, s, two, before)
		// The next step of what has begun follows, whatever it waits for meanwhile.
		s.repeat(one, true)
		wantNext(t, s, one, 0)
		s.park(one, two)
		s.release(two)
		wantNext(t, s, one, 0)
		// A change that came meanwhile makes way again.
		s.add(two, in(0))
		s.done(two)
		wantNext(t, s, two, calmMost)
	})
}

// Work does not make way that somebody waits for, nor any in a drain, nor very much of it.
func TestCalmEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.together(4)
		one, two, three := inodeTask(1), inodeTask(2), inodeTask(3)
		defer ask(s, time.Minute)()
		s.add(one, in(0))
		s.add(two, in(time.Second))
		s.need(two)
		s.need(three)
		wantNext(t, s, two, 0)
		wantNext(t, s, three, 0)
		s.add(keyTask("a"), in(settleDelete))
		s.need(keyTask("b"))
		wantKeys(t, s, 0, "b", "a")
		end := s.rushAll()
		wantNext(t, s, one, 0)
		end()

		for i := range calmTasks {
			s.add(inodeTask(index.Ino(i)), in(0))
		}
		take(t, s)
		for s.len() >= calmTasks {
			x, waited := take(t, s)
			if waited != 0 {
				t.Fatalf("%+v waited for %v", x, waited)
			}
			s.done(x)
		}
		if x, waited := take(t, s); waited != calmMost {
			t.Errorf("%+v waited for %v", x, waited)
		}
	})
}

// Under a program that never rests as much is handed out as it makes, a little later.
func TestCalmStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		const tasks, every = 5000, time.Millisecond
		go func() {
			for i := range tasks {
				s.calm.asked.beat()
				s.add(inodeTask(index.Ino(i)), in(100*time.Millisecond))
				time.Sleep(every)
			}
		}()
		began := time.Now()
		for i := range tasks {
			x, _ := take(t, s)
			made := began.Add(time.Duration(x.ino) * every)
			if late := time.Since(made); x.ino != index.Ino(i) || late > 100*time.Millisecond+calmMost {
				t.Fatalf("%+v is number %d, after %v", x, i, late)
			}
			s.done(x)
		}
		if over := time.Since(began) - tasks*every; over > 100*time.Millisecond+calmQuiet {
			t.Errorf("the last came %v after the program", over)
		}
	})
}
