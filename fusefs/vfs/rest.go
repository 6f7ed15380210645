package vfs

import (
	"context"
	"time"
)

// A file that is open for writing is sent when it rests: at its close, at fsync, after
// restIdle without a write, and at the latest restMost after it first differed, or after the
// last part of it was sent while it is written.
const (
	restIdle = 5 * time.Second
	restMost = time.Minute
	restLook = time.Second
)

// wroteTo notes a write to an open file that the write-back was not told of yet.
func (n *node) wroteTo() {
	now := time.Now().UnixNano()
	n.lastWrite.Store(now)
	n.differsSince.CompareAndSwap(0, now)
}

// rested reports whether the write-back should be told now, and if so that it was.
func (n *node) rested(now time.Time) bool {
	since := n.differsSince.Load()
	if since == 0 {
		return false
	}
	if now.Sub(time.Unix(0, n.lastWrite.Load())) < restIdle && now.Sub(time.Unix(0, max(since, n.streamed.Load()))) < restMost {
		return false
	}
	n.differsSince.Store(0)
	return true
}

// watchWriters tells the write-back of files that rest, until Close.
func (fs *FS) watchWriters() {
	tick := time.NewTicker(restLook)
	defer tick.Stop()
	for {
		select {
		case <-fs.ctx.Done():
			return
		case now := <-tick.C:
			fs.lookBehind(now)
			fs.tellRested(func(n *node) bool { return n.rested(now) })
		}
	}
}

// tellRested tells the write-back of the open files that are chosen.
func (fs *FS) tellRested(chosen func(*node) bool) {
	var rested []Ino
	fs.mu.Lock()
	for ino, n := range fs.nodes {
		if chosen(n) {
			rested = append(rested, ino)
		}
	}
	fs.mu.Unlock()
	for _, ino := range rested {
		fs.wb.Dirty(ino, 0)
	}
}

// Asked tells that a program has asked for something: what is to be sent makes way for a
// while. It costs next to nothing.
func (fs *FS) Asked() { fs.wb.Asked() }

// Drain waits until the bucket has everything, without settling times, files that are
// open included. When ctx ends first it returns a *writeback.PendingError, and the work
// goes on.
func (fs *FS) Drain(ctx context.Context) error {
	if err := fs.lookAll(); err != nil {
		return err
	}
	fs.tellRested(func(n *node) bool { return n.differsSince.Swap(0) != 0 })
	fs.buryAll(fs.graves.take()) // what has an inode may have to be fetched before it is deleted
	return fs.wb.Drain(ctx)
}
