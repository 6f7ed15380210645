package writeback

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// wantKeys takes keys that are handed out together after a pause, in order.
func wantKeys(t *testing.T, s *schedule, after time.Duration, want ...string) {
	t.Helper()
	began := time.Now()
	tasks, ok := s.next(t.Context())
	var got []string
	for _, x := range tasks {
		got = append(got, x.key)
	}
	if waited := time.Since(began); !ok || fmt.Sprint(got) != fmt.Sprint(want) || waited != after {
		t.Fatalf("got %q after %v, not %q after %v", got, waited, want, after)
	}
}

// Doomed keys wait for each other, but not for long.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.together(4)
		doom := func(key string) { s.add(keyTask(key), in(settleDelete)) }
		done := func(keys ...string) {
			for _, key := range keys {
				s.done(keyTask(key))
			}
		}

		// Some come, and no more.
		doom("b")
		time.Sleep(60 * time.Millisecond)
		doom("a")
		wantKeys(t, s, 40*time.Millisecond, "b", "a")
		done("a", "b")

		// As many as go together do not wait for more.
		for _, key := range []string{"e", "d", "c", "b", "a"} {
			doom(key)
			time.Sleep(time.Millisecond)
		}
		wantKeys(t, s, 95*time.Millisecond, "e", "d", "c", "b")
		wantKeys(t, s, 4*time.Millisecond, "a")
		done("a", "b", "c", "d", "e")

		// They make way for programs, a full batch too, which waits for nothing else.
		doom("b")
		for range 12 {
			s.calm.asked.beat()
			time.Sleep(10 * time.Millisecond)
		}
		wantKeys(t, s, deleteQuiet-10*time.Millisecond, "b")
		done("b")
		for _, key := range []string{"d", "c", "b", "a"} {
			doom(key)
		}
		time.Sleep(settleDelete)
		s.calm.asked.beat()
		wantKeys(t, s, deleteQuiet, "d", "c", "b", "a")
		done("a", "b", "c", "d")

		// A few at a time, for long, from work that goes on.
		s.together(100)
		s.need(inodeTask(1))
		wantNext(t, s, inodeTask(1), 0)
		const files, every = 55, 20 * time.Millisecond // for a little less than gatherMost+settleDelete
		var all []string
		go func() {
			for i := range files {
				doom(fmt.Sprintf("%02d", i))
				time.Sleep(every)
			}
		}()
		for i := range files {
			all = append(all, fmt.Sprintf("%02d", files-1-i))
		}
		wantKeys(t, s, gatherMost+settleDelete, all...)
		done(all...)

		// They do not wait for more when that work is over.
		for _, key := range []string{"a", "b"} {
			s.add(keyTask(key), in(0))
		}
		go func() {
			time.Sleep(10 * time.Millisecond)
			s.done(inodeTask(1))
		}()
		wantKeys(t, s, 10*time.Millisecond, "b", "a")
		done("a", "b")

		// Somebody waits for one.
		doom("a")
		doom("b")
		s.need(keyTask("a"))
		wantKeys(t, s, 0, "b", "a")
		done("a", "b")

		// In a drain they wait only for what is still under way.
		s.add(inodeTask(1), in(0))
		wantNext(t, s, inodeTask(1), 0)
		end := s.rushAll()
		doom("a")
		time.Sleep(10 * time.Millisecond)
		doom("b")
		go func() {
			time.Sleep(20 * time.Millisecond)
			s.done(inodeTask(1))
		}()
		wantKeys(t, s, 20*time.Millisecond, "b", "a")
		done("a", "b")
		end()

		// Older work is not overtaken, and does not hold keys up.
		s.add(inodeTask(1), in(150*time.Millisecond))
		s.add(inodeTask(2), in(250*time.Millisecond))
		doom("a")
		doom("b")
		wantKeys(t, s, 100*time.Millisecond, "b", "a")
		wantNext(t, s, inodeTask(1), 50*time.Millisecond)
		wantNext(t, s, inodeTask(2), 100*time.Millisecond)
	})
}

// A key whose step is none of many goes alone, once.
func TestGatherSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		s.together(4)
		s.add(keyTask("a"), in(0))
		s.need(keyTask("b"))
		wantKeys(t, s, 0, "b", "a")
		s.single(keyTask("a"))
		s.failed(keyTask("b"), pause)
		wantNext(t, s, keyTask("a"), 0)
		s.done(keyTask("a"))
		s.add(keyTask("a"), in(settleDelete))
		wantKeys(t, s, settleDelete, "a")
		s.done(keyTask("a"))
		wantKeys(t, s, retryFirst-settleDelete, "b")
	})
}
