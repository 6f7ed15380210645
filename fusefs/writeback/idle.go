package writeback

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	// idleLeast is how many processors must have nothing to do for sending not to make way:
	// it takes one here and, where the store is on this host, about two there.
	idleLeast = 3
	// idleLook is the time between two looks.
	idleLook = 50 * time.Millisecond
	// idleStale is when a look is too old to be compared with.
	idleStale = 4 * idleLook
)

// idle tells whether processors have nothing to do. It looks only when it is asked, 15 µs each
// time, and says no where nothing can be read. On a host of few processors it never looks:
// while a program works there are not as many idle.
type idle struct {
	most int // processors that this process may use: fewer than the host's under a group's limit
	read func() (spent, bool)

	last spent
	at   time.Time // of the last look
	yes  bool      // what it said
}

// spent is how processors have spent their time so far, in seconds.
type spent struct {
	idle float64 // of all of the host
	own  float64 // by this process
}

// newIdle measures this host.
func newIdle() idle { return idle{most: runtime.GOMAXPROCS(0), read: readSpent} }

// canBe reports whether there is any use in a look.
func (i *idle) canBe() bool { return i.most > idleLeast }

// look reports whether processors were idle between the last two looks, and when it may say
// something else.
func (i *idle) look(now time.Time) (yes bool, again time.Time) {
	since := now.Sub(i.at)
	if since >= idleLook {
		before := i.last
		var ok bool
		if i.last, ok = i.read(); !ok {
			i.most = 0
		}
		// Of the processors that this process may use it has not used as many.
		left := min(i.last.idle-before.idle, float64(i.most)*since.Seconds()-(i.last.own-before.own))
		i.at, i.yes = now, ok && since < idleStale && left >= idleLeast*since.Seconds()
	}
	return i.yes, i.at.Add(idleLook)
}

// readSpent reads /proc/uptime: it is short, and its length does not grow with the host as
// that of /proc/stat.
func readSpent() (s spent, ok bool) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return s, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return s, false
	}
	if s.idle, err = strconv.ParseFloat(string(fields[1]), 64); err != nil {
		return s, false
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return s, false
	}
	s.own = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	return s, true
}
