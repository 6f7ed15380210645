package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestDiskProbe looks at once and then after every interval.
func TestDiskProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		p, err := newDiskProbe(dir, func(op string, _ time.Duration) { seen[op]++ })
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.run(ctx, 15*time.Second, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(31 * time.Second)
		stop()
		<-ended
		if want := map[string]int{"write": 3, "read": 3}; !maps.Equal(seen, want) {
			t.Errorf("%v, want %v", seen, want)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// TestDiskProbeFails tells of a disk that cannot be written once, and counts nothing.
func TestDiskProbeFails(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &diskProbe{full, func(op string, _ time.Duration) { t.Errorf("%s is counted", op) }}
	if err := p.look(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		said := &lines{}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		p.run(ctx, 15*time.Second, slog.New(slog.NewTextHandler(said, nil)))
		if said.n != 1 {
			t.Errorf("it is said %d times", said.n)
		}
	})
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// lines counts what is written.
type lines struct{ n int }

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(data []byte) (int, error) {
	l.n++
	return len(data), nil
}

// BenchmarkDiskProbe is what a look costs.
func BenchmarkDiskProbe(b *testing.B) {
	p, err := newDiskProbe(b.TempDir(), func(string, time.Duration) {})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.close() }()
	for b.Loop() {
		if err := p.look(); err != nil {
			b.Fatal(err)
		}
	}
}
