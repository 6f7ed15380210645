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

// gather is when doomed keys go together: when there are as many as a batch holds, when for
// a while none has come, when one has waited for long, when somebody waits for one, or when
// in a drain there is nothing else to do.
type gather struct {
	most   int       // keys of a batch; below 2 each goes alone
	latest time.Time // when the latest was doomed
	urgent bool      // somebody waits
}

// together lets up to so many doomed keys be handed out at once. Nothing was added yet.
func (s *schedule) together(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gather.most = most
}

// added notes that a task was made due at a time: now means that somebody waits for it.
func (g *gather) added(t task, at time.Time) {
	if t.key != "" {
		g.urgent = g.urgent || !at.After(time.Now())
	}
}

// gatheredLocked is when the first keys are to be handed out.
func (s *schedule) gatheredLocked(now time.Time) time.Time {
	first := s.doomed.first().due
	if s.gather.urgent || first.After(now) || s.hurry > 0 && s.running == 0 && len(s.due) == 0 {
		return first
	}
	if len(s.doomed) >= s.gather.most {
		return now
	}
	last := first.Add(gatherMost)
	if quiet := s.gather.latest.Add(gatherQuiet); quiet.Before(last) {
		return quiet
	}
	return last
}

// takeDoomedLocked hands out the keys that are due, and if they fill no batch those that
// are due soon, the greatest key first: what lies in a directory comes before its marker.
func (s *schedule) takeDoomedLocked(now time.Time) []task {
	s.gather.urgent = false
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
