package writeback

import (
	"testing"
	"testing/synctest"
	"time"
)

// host is one whose processors do what a test says, since its beginning.
type host struct {
	began     time.Time
	idle, own float64 // processors
	silent    bool    // nothing can be read
	looks     int
}

func (h *host) read() (spent, bool) {
	h.looks++
	seconds := time.Since(h.began).Seconds()
	return spent{idle: h.idle * seconds, own: h.own * seconds}, !h.silent
}

// on has a schedule run on the host, of so many processors.
func (h *host) on(s *schedule, processors int) {
	h.began = time.Now()
	s.calm.idle = idle{most: processors, read: h.read}
}

// Where processors are idle, nothing makes way for long; where they are not, as without.
func TestIdleProcessors(t *testing.T) {
	for name, tt := range map[string]struct {
		host
		processors int
		want       time.Duration // from due to the turn
		looks      int           // at most
	}{
		"idle":                      {host{idle: 6, own: 1}, 8, idleLook, 2},
		"busy":                      {host{idle: 2.9, own: 1}, 8, calmMost, int(calmMost/idleLook) + 1},
		"few processors":            {host{idle: 2, own: 0.1}, 2, calmMost, 0},
		"a group that has no more":  {host{idle: 60, own: 1.5}, 4, calmMost, int(calmMost/idleLook) + 1},
		"a group that has some":     {host{idle: 60, own: 0.9}, 4, idleLook, 2},
		"a host that tells nothing": {host{idle: 60, silent: true}, 64, calmMost, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSchedule()
				tt.on(s, tt.processors)
				defer ask(s, time.Minute)()
				const settle = 100 * time.Millisecond
				s.add(inodeTask(1), in(settle))
				wantNext(t, s, inodeTask(1), settle+tt.want)
				if tt.looks < tt.host.looks {
					t.Errorf("%d looks, want at most %d", tt.host.looks, tt.looks)
				}
			})
		})
	}
}

// Processors that become busy, or idle, are seen within two looks; what follows a look needs
// none, and nobody looks while nothing makes way.
func TestIdleChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		h := &host{idle: 8}
		h.on(s, 8)
		defer ask(s, time.Hour)()
		one, two, three := inodeTask(1), inodeTask(2), inodeTask(3)
		s.add(one, in(0))
		s.add(two, in(0))
		wantNext(t, s, one, idleLook)
		wantNext(t, s, two, 0)
		s.done(one)
		s.done(two)

		looks := h.looks
		time.Sleep(time.Minute)
		s.need(three)
		wantNext(t, s, three, 0)
		if h.looks != looks {
			t.Errorf("%d looks at a volume of which nothing is to be sent", h.looks-looks)
		}

		// The minute is too long ago.
		s.add(one, in(0))
		wantNext(t, s, one, idleLook)
		h.began, h.idle = h.began.Add(time.Since(h.began)), 0
		time.Sleep(idleLook)
		s.add(two, in(0))
		wantNext(t, s, two, calmMost)
	})
}

// This host tells what its processors do.
func TestReadSpent(t *testing.T) {
	before, ok := readSpent()
	if !ok || before.idle <= 0 || before.own <= 0 {
		t.Fatalf("%+v, %v", before, ok)
	}
	for range 1000 {
		after, ok := readSpent()
		if !ok || after.idle < before.idle || after.own < before.own {
			t.Fatalf("%+v, %v after %+v", after, ok, before)
		}
		if after.own > before.own {
			return
		}
	}
	t.Error("a thousand looks took no time")
}

func BenchmarkReadSpent(b *testing.B) {
	for b.Loop() {
		readSpent()
	}
}
