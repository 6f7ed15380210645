package main

import (
	"sync"
	"time"

	"objvol/fusefs/vfs"
)

const (
	// recentFor is how long numbers are recent.
	recentFor = time.Second
	// recentWait is how long who asks waits for newer ones.
	recentWait = 50 * time.Millisecond
)

// recent remembers the numbers of a filesystem for those who may not wait: reading them
// takes as long as the queue is long.
type recent struct {
	read func() vfs.State

	running sync.WaitGroup

	mu      sync.Mutex // protects what follows
	state   vfs.State
	at      time.Time     // when it was read
	reading chan struct{} // closed at the end of the reading under way; nil if there is none
	closed  bool
}

// get returns the numbers, not older than recentFor if they can be had at once. The first
// call waits for them.
func (r *recent) get() vfs.State {
	r.mu.Lock()
	state, never := r.state, r.at.IsZero()
	if r.closed || time.Since(r.at) < recentFor {
		r.mu.Unlock()
		return state
	}
	if r.reading == nil {
		r.reading = make(chan struct{})
		r.running.Go(r.refresh)
	}
	reading := r.reading
	r.mu.Unlock()

	if never {
		<-reading
	} else {
		select {
		case <-reading:
		case <-time.After(recentWait):
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *recent) refresh() {
	state := r.read()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.at = state, time.Now()
	close(r.reading)
	r.reading = nil
}

// close reads the numbers for the last time: they stay.
func (r *recent) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
	state := r.read()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
}
