package index

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// failure is the one-way state of an index that Pebble can no longer write.
type failure struct {
	log    *slog.Logger
	notify func(error) // may be nil

	once   sync.Once
	err    error         // readable when failed is closed
	failed chan struct{} // closed by the first failure

	calls chan guarded  // to the goroutine that waits for one
	seat  chan struct{} // of that goroutine
	ended chan struct{} // closed when there are no more calls
}

// guarded is a call that may never return.
type guarded struct {
	call func() error
	done chan error
}

func newFailure(log *slog.Logger, notify func(error)) *failure {
	return &failure{
		log: log, notify: notify, failed: make(chan struct{}),
		calls: make(chan guarded), seat: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// end says that there are no more calls to guard.
func (f *failure) end() { close(f.ended) }

// set records the first failure and tells of it. Who listens may call the index, and may be
// told while Pebble holds locks: it is therefore told in a goroutine of its own.
func (f *failure) set(err error) {
	f.once.Do(func() {
		f.err = fmt.Errorf("index failed: %w", err)
		f.log.Error("index failed", "err", err)
		close(f.failed)
		if f.notify != nil {
			go f.notify(f.err)
		}
	})
}

// park records a failure and never returns: it is for places in which Pebble would end the
// process, or go on in a state that ends it.
func (f *failure) park(err error) {
	f.set(err)
	select {}
}

// get returns the failure, nil while there is none.
func (f *failure) get() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

// guard runs a call of Pebble that may be parked, or panic, and returns its error or the
// failure.
func (f *failure) guard(call func() error) error {
	g := guarded{call, make(chan error, 1)}
	select {
	case f.calls <- g:
	default:
		go f.work(g)
	}
	select {
	case err := <-g.done:
		return err
	case <-f.failed:
		return f.err
	}
}

// work does calls. One goroutine stays for the next, as its stack has grown to what a
// commit needs.
func (f *failure) work(g guarded) {
	for f.do(g) {
		select {
		case f.seat <- struct{}{}:
		default:
			return
		}
		select {
		case g = <-f.calls:
		case <-f.ended:
			return
		case <-f.failed:
			return
		}
		<-f.seat
	}
}

// do does one call and reports whether it came back.
func (f *failure) do(g guarded) (back bool) {
	defer func() {
		if p := recover(); p != nil {
			f.set(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	g.done <- g.call()
	return true
}

// logger is what Pebble talks to.
type logger struct {
	*failure
}

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble", "msg", lazy{format, args})
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble", "msg", fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble expects the process to end.
func (l logger) Fatalf(format string, args ...any) {
	l.park(fmt.Errorf(format, args...))
}

// lazy is a message that is put together only if it is logged.
type lazy struct {
	format string
	args   []any
}

func (m lazy) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf(m.format, m.args...)) }
