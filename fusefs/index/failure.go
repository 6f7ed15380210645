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
}

func newFailure(log *slog.Logger, notify func(error)) *failure {
	return &failure{log: log, notify: notify, failed: make(chan struct{})}
}

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
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				f.set(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		done <- call()
	}()
	select {
	case err := <-done:
		return err
	case <-f.failed:
		return f.err
	}
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
