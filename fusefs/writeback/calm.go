package writeback

import "time"

const (
	// calmQuiet is for how long no program must have asked for anything before the volume is
	// taken to rest.
	calmQuiet = 50 * time.Millisecond
	// calmMost is how long a task makes way at most after it is due.
	calmMost = 1500 * time.Millisecond
	// calmTasks is from how many tasks on none makes way: they are work for long.
	calmTasks = 20_000
)

// calm is when programs last asked the volume for something. While they do, tasks for which
// nobody waits make way: programs, driver and store often share a few processors. Each does
// so for a bounded time after it is due, so that under a program that never rests as much is
// sent as without, only later. What is needed, or under way, does not, and nothing does in a
// drain, or while processors are idle.
//
// With one to 64 requests at once beside a program that makes 2,000 small files, on two
// processors with the store, the program took twice as long and the bucket had them no sooner.
type calm struct {
	asked pulse
	idle  idle // schedule.mu protects it
}

// Asked tells that a program has asked the volume for something. It costs next to nothing.
func (w *Writeback) Asked() { w.sched.calm.asked.beat() }

// turnLocked is when it is the turn of a task that nobody needs, due at a time.
func (s *schedule) turnLocked(due time.Time) time.Time {
	if s.hurry > 0 || len(s.items) >= calmTasks {
		return due
	}
	quiet := time.Unix(0, s.calm.asked.last.Load()).Add(calmQuiet)
	return latest(due, earliest(quiet, due.Add(calmMost)))
}

// patientLocked is when it is the turn of the first task that makes way, or when to see
// again whether it still has to.
func (s *schedule) patientLocked(now time.Time) time.Time {
	due := s.patient.first().due
	turn := s.turnLocked(due)
	if !turn.After(now) || !s.calm.idle.canBe() {
		return turn
	}
	if due.After(now) {
		return due
	}
	yes, again := s.calm.idle.look(now)
	if yes {
		return due
	}
	return earliest(turn, again)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
