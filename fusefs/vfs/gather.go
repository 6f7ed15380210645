package vfs

import (
	"context"
	"errors"
	"io"
	"time"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// What a read out of sequence fetches is little, and there are many of those. It is read
// from memory as soon as it has come, and written to the content file and recorded a moment
// later with what else has come: one commit for all of them.

const (
	// gatherTime is how long what has come waits for more.
	gatherTime = 20 * time.Millisecond
	// gatherMost is how many bytes of a file do not wait any longer.
	gatherMost = 1 << 20
	// gatherAll bounds the bytes in memory, of all files together.
	gatherAll = 8 << 20
)

// gathered are the transfers of a file that are in memory. transfers.mu protects it.
type gathered struct {
	list  []*transfer
	bytes int64
	runs  bool          // somebody records them
	hurry chan struct{} // has one when they are not to wait; nil before the first
}

// arrive notes all that a transfer brings, from an offset. Who waits to read it is let go.
// The caller has it recorded, unless somebody does already.
func (ts *transfers) arrive(t *transfer, at int64, data []byte) (somebody bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.at, t.data = at, data
	close(t.moved)
	t.moved = make(chan struct{})
	g := &ts.gathered
	if g.hurry == nil {
		g.hurry = make(chan struct{}, 1)
	}
	g.list = append(g.list, t)
	if g.bytes += int64(len(data)); g.bytes >= gatherMost {
		ts.hurryLocked()
	}
	if g.runs {
		return true
	}
	g.runs = true
	return false
}

func (ts *transfers) hurryLocked() {
	select {
	case ts.gathered.hurry <- struct{}{}:
	default:
	}
}

// take returns what is to be recorded. If it is nothing, whoever records has ended.
func (ts *transfers) take() []*transfer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	g := &ts.gathered
	list := g.list
	g.list, g.bytes, g.runs = nil, 0, len(list) > 0
	return list
}

// has returns what a transfer has in memory of a file, and from where.
func (ts *transfers) has(t *transfer) (at int64, data []byte) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return t.at, t.data
}

// gather reads a body into memory and has it recorded. It is false, and nothing was read, if
// too much is there already. The transfer ends with it.
func (fs *FS) gather(ctx context.Context, nd *node, n index.Inode, t *transfer, r extent.Range, body io.Reader) (done bool, err error) {
	if fs.gathered.Add(r.Len()) > gatherAll {
		fs.gathered.Add(-r.Len())
		return false, nil
	}
	data := make([]byte, r.Len())
	if err := fs.readPiece(ctx, n, body, data, r.Off); err != nil {
		fs.gathered.Add(-r.Len())
		return true, err
	}
	if nd.transfers.arrive(t, r.Off, data) {
		return true, nil
	}
	if !fs.begin() {
		// It was begun for the transfer itself, which is still one of fs.tasks.
		fs.recordGathered(nd)
		return true, nil
	}
	fs.acquire(nd.ino)
	go func() {
		defer fs.tasks.Done()
		defer fs.release(nd)
		fs.recordGathered(nd)
	}()
	return true, nil
}

// recordGathered writes and records what comes, until nothing more does.
func (fs *FS) recordGathered(nd *node) {
	for {
		timer := time.NewTimer(gatherTime)
		select {
		case <-timer.C:
		case <-nd.transfers.gathered.hurry:
		case <-fs.ctx.Done():
		}
		timer.Stop()
		list := nd.transfers.take()
		if len(list) == 0 {
			return
		}
		err := fs.keepGathered(nd, list)
		if errors.Is(err, ErrNoSpace) {
			fs.wakeEvictor()
		}
		for _, t := range list {
			nd.transfers.end(t, err)
			fs.gathered.Add(-int64(len(t.data)))
		}
	}
}

// keepGathered is keep and record for several transfers.
func (fs *FS) keepGathered(nd *node, list []*transfer) error {
	batches := make([]batch, 0, len(list))
	for _, t := range list {
		file, err := fs.keep(nd, t.gen, t.at, t.data)
		if err != nil {
			return err
		}
		batches = append(batches, batch{extent.Range{Off: t.at, End: t.at + int64(len(t.data))}, file, t.gen})
	}
	return fs.record(nd, batches...)
}

// readGathered reads from an open file what one transfer has in memory, with what is on
// this host. It is false if more is absent than that.
func (fs *FS) readGathered(nd *node, t *transfer, off int64, buf []byte) (got int, ok bool, err error) {
	at, data := nd.transfers.has(t)
	if data == nil {
		return 0, false, nil
	}
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	n, c, err := fs.content(nd.ino)
	if err != nil || superseded(n, t.gen) {
		return 0, false, err
	}
	buf = buf[:max(0, min(int64(len(buf)), n.Size-off))]
	absent := c.Absent(off, int64(len(buf)))
	if len(absent) > 0 && (absent[0].Off < at || absent[len(absent)-1].End > at+int64(len(data))) {
		return 0, false, nil
	}
	done := off
	for _, m := range absent {
		if err := fs.copyOut(nd, c, done, buf[done-off:m.Off-off], nil); err != nil {
			return 0, false, err
		}
		copy(buf[m.Off-off:m.End-off], data[m.Off-at:])
		done = m.End
	}
	if err := fs.copyOut(nd, c, done, buf[done-off:], nil); err != nil {
		return 0, false, err
	}
	fs.ledger.Touch(uint64(nd.ino))
	return len(buf), true, nil
}
