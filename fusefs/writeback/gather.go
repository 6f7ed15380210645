package writeback

import (
	"slices"
	"strings"
	"time"
)

// gatherMost is how long a key that is to be deleted waits at most for others that may go
// with it.
const gatherMost = time.Second

// gatherQuiet is for how long none must have come after one that is due.
const gatherQuiet = 30 * time.Millisecond

// deleteQuiet is for how long no program must have asked for anything before keys are
// deleted. It is short: there are no more to come, and many go with one request.
const deleteQuiet = 15 * time.Millisecond

// gather is when doomed keys go together: when there are as many as a batch holds, when for
// a while none has come, when one has waited for long, when somebody waits for one, or when
// there is nothing else to do that could doom more. A full batch makes way for programs too:
// sent while rm -rf goes on, it made that half as fast.
type gather struct {
	most   int       // keys of a batch; below 2 each goes alone
	latest time.Time // when the latest was doomed
	needed int       // for how many of those that wait somebody waits
}

// together lets up to so many doomed keys be handed out at once. Nothing was added yet.
func (s *schedule) together(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gather.most = most
}

// added notes that a key waits to be handed out.
func (g *gather) added(it *item) {
	g.latest = time.Now()
	if it.needed {
		g.needed++
	}
}

// removed notes that it does so no more.
func (g *gather) removed(it *item) {
	if it.needed {
		g.needed--
	}
}

// gatheredLocked is when the first keys are to be handed out.
func (s *schedule) gatheredLocked(now time.Time) time.Time {
	first := s.doomed.first().due
	if s.gather.needed > 0 {
		return first
	}
	quiet := time.Unix(0, s.calm.asked.last.Load()).Add(deleteQuiet)
	turn := earliest(s.turnLocked(first), latest(first, quiet))
	if turn.After(now) || len(s.doomed) >= s.gather.most || s.running == 0 && !s.othersLocked(now) {
		return turn
	}
	return latest(turn, earliest(first.Add(gatherMost), s.gather.latest.Add(gatherQuiet)))
}

// othersLocked reports whether there are tasks that are not keys to be deleted, and due.
func (s *schedule) othersLocked(now time.Time) bool {
	return len(s.due) > 0 && !s.due.first().due.After(now) || len(s.patient) > 0 && !s.patient.first().due.After(now)
}

// takeDoomedLocked hands out the keys that are due, and if they fill no batch those that
// are due soon, the greatest key first: what lies in a directory comes before its marker.
func (s *schedule) takeDoomedLocked(now time.Time) []task {
	var keys []task
	for len(s.doomed) > 0 && len(keys) < s.gather.most {
		if it := s.doomed.first(); it.due.After(now.Add(settleDelete)) || it.attempts > 0 && it.due.After(now) {
			break
		}
		keys = append(keys, s.popLocked(&s.doomed).task)
	}
	slices.SortFunc(keys, func(a, b task) int { return strings.Compare(b.key, a.key) })
	return keys
}

// single makes a running key due again, to be handed out without others.
func (s *schedule) single(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[t].alone = true
	s.repeatLocked(t, time.Now())
}
