package driver

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwait(t *testing.T) {
	d := open(t, stateDir(t), &fakeMounter{})
	undo := func() { t.Error("undone although the caller has its answer") }
	if err := d.await(t.Context(), func() error { return nil }, undo); err != nil {
		t.Error(err)
	}
	failure := errors.New("failure")
	if err := d.await(t.Context(), func() error { return failure }, undo); !errors.Is(err, failure) {
		t.Error(err)
	}
	wantErr(t, d.await(t.Context(), func() error { panic("boom") }, undo), "internal error: boom")
}

// TestAwaitUndoesLateSuccess ends the work after its caller has left.
func TestAwaitUndoesLateSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		d := openWith(t, Config{StateDir: stateDir(t), Defaults: BuiltIn(), Mounter: &fakeMounter{}, Log: log.logger()})
		for _, result := range []error{nil, errors.New("late failure")} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var undone atomic.Int64
			err := d.await(ctx, func() error { time.Sleep(time.Minute); return result }, func() { undone.Add(1) })
			if !errors.Is(err, context.DeadlineExceeded) || undone.Load() != 0 {
				t.Errorf("at the deadline: %v, undone %d times", err, undone.Load())
			}
			time.Sleep(time.Hour)
			if want := map[bool]int64{true: 1, false: 0}[result == nil]; undone.Load() != want {
				t.Errorf("%v: undone %d times, want %d", result, undone.Load(), want)
			}
		}
		if !strings.Contains(log.String(), "late failure") {
			t.Errorf("what failed unheard is not in the log: %s", log.String())
		}
	})
}

// goneContext has ended, but nobody who waits for it has noticed yet.
type goneContext struct{ context.Context }

func (goneContext) Done() <-chan struct{} { return nil }
func (goneContext) Err() error            { return context.Canceled }

// TestAwaitUndoesUnheardAnswer has the caller leave while the answer is handed over.
func TestAwaitUndoesUnheardAnswer(t *testing.T) {
	d := open(t, stateDir(t), &fakeMounter{})
	undone := 0
	err := d.await(goneContext{t.Context()}, func() error { return nil }, func() { undone++ })
	if !errors.Is(err, context.Canceled) || undone != 1 {
		t.Errorf("%v, undone %d times", err, undone)
	}
}
