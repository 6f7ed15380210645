package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/objstore"
)

const (
	// pieceSize is how much of a body is read at once, in bytes: the memory of a transfer.
	pieceSize = 256 << 10
	// commitSize is how many bytes that nobody waits for are recorded at once.
	commitSize = 1 << 20
	// aheadAtOnce bounds the transfers that nobody waits for yet, of all files together.
	aheadAtOnce = 24
	// transferTime bounds a transfer, for each transferUnit bytes of it.
	transferTime = time.Minute
	transferUnit = 4 << 20
)

// errGivenUp ends a transfer that nobody wants any more.
var errGivenUp = errors.New("nobody wants it any more")

// pieces are buffers of pieceSize bytes.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// transfer is one request for a range of a file's object. What arrives is written to the
// content file, and can be read there, before the rest has come. A small one is read from
// memory first (gather.go).
type transfer struct {
	extent.Range
	gen    uint64 // of the inode, when it began
	cancel context.CancelFunc
	took   time.Duration // its body, from the answer on; 0 if it has not come; of who runs it

	// transfers.mu protects what follows.
	kept  int64         // what is below has been recorded
	need  int64         // what is below is waited for
	users int           // those who wait for it, or want it ahead
	moved chan struct{} // closed, and replaced, when kept grows
	data  []byte        // all of it, where that is in memory (gather.go); set once
	at    int64         // where data begins
	err   error
	ended bool
}

// transfers are those of one file. Those of one generation do not overlap, but where one was
// not waited for (wide.go), or what it brought was evicted before its end.
type transfers struct {
	mu       sync.Mutex // a leaf
	underway []*transfer
	gathered gathered
}

// claim returns the transfer that brings the first byte of a range, for one more user. If
// there is none but late it makes one, of as much of more as no other brings; start is set then.
func (ts *transfers) claim(want, more extent.Range, gen uint64, late *transfer) (t *transfer, start bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.underway {
		if t == late || t.gen != gen || t.users == 0 && t.data == nil {
			continue
		}
		switch {
		case t.Off <= want.Off && want.Off < t.kept:
			more.End = min(more.End, t.kept) // it has brought this, which was evicted since
		case t.Off <= want.Off && want.Off < t.End:
			t.users++
			return t, false
		case t.End <= want.Off:
			more.Off = max(more.Off, t.End)
		default:
			more.End = min(more.End, t.Off)
		}
	}
	t = &transfer{Range: more, gen: gen, kept: more.Off, users: 1, moved: make(chan struct{})}
	ts.underway = append(ts.underway, t)
	return t, true
}

// leave ends one use. A transfer without any is given up.
func (ts *transfers) leave(t *transfer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.users--; t.users == 0 && !t.ended && t.cancel != nil {
		t.cancel()
	}
}

// begun notes how a transfer is given up. It is false if it was so already.
func (ts *transfers) begun(t *transfer, cancel context.CancelFunc) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.cancel = cancel
	return t.users > 0
}

// needs notes that everything below an offset is waited for, or will be.
func (ts *transfers) needs(t *transfer, until int64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.need = max(t.need, min(until, t.End))
}

// pin has a transfer go on to its end, whoever leaves it.
func (ts *transfers) pin(t *transfer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.users++
}

// wait returns when a transfer has brought everything below an offset, or has ended. With
// memory it suffices that it is there.
func (ts *transfers) wait(ctx context.Context, t *transfer, until int64, memory bool) error {
	until = min(until, t.End)
	for {
		ts.mu.Lock()
		t.need = max(t.need, until)
		moved, arrived, ended, err := t.moved, t.kept >= until || memory && t.data != nil, t.ended, t.err
		if t.data != nil && !arrived && !ended {
			ts.hurryLocked()
		}
		ts.mu.Unlock()
		if arrived || ended {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ErrInterrupted
		}
	}
}

// due reports whether bytes that arrived up to an offset are to be recorded now.
func (ts *transfers) due(t *transfer, at int64) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return at-t.kept >= commitSize || t.need > t.kept && t.need <= at
}

// first is how many bytes from an offset on are read at once before others are: those that
// are waited for.
func (ts *transfers) first(t *transfer, at int64) int64 {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.need <= at {
		return pieceSize
	}
	return min((t.need-at+grainLeast-1)/grainLeast*grainLeast, pieceSize)
}

// progress notes that everything below an offset is recorded.
func (ts *transfers) progress(t *transfer, at int64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.kept = at
	close(t.moved)
	t.moved = make(chan struct{})
}

// end removes a transfer.
func (ts *transfers) end(t *transfer, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.ended, t.err = true, err
	close(t.moved)
	for i, other := range ts.underway {
		if other == t {
			ts.underway = append(ts.underway[:i], ts.underway[i+1:]...)
			return
		}
	}
}

// transfer brings the first byte of a wanted range, and more around it, by a transfer
// under way or a new one. It outlives a reader that is interrupted if others use it. The
// caller leaves it.
func (fs *FS) transfer(nd *node, gen uint64, want, more extent.Range) *transfer {
	t, _ := fs.bring(nd, gen, want, more, nil, func(*transfer) {})
	return t
}

// transferAhead is transfer for what nobody waits for yet. It is nil where there are
// enough of those.
func (fs *FS) transferAhead(nd *node, gen uint64, r extent.Range) *transfer {
	if fs.aheads.Add(1) > aheadAtOnce {
		fs.aheads.Add(-1)
		return nil
	}
	t, _ := fs.bring(nd, gen, extent.Range{Off: r.Off, End: r.Off}, r, nil, func(*transfer) { fs.aheads.Add(-1) })
	return t
}

// bring is transfer for one who does not wait for late, which may be nil. It calls done with a
// new transfer that has ended, or with nil at once where one was under way.
func (fs *FS) bring(nd *node, gen uint64, want, more extent.Range, late *transfer, done func(*transfer)) (t *transfer, started bool) {
	t, started = nd.transfers.claim(want, more, gen, late)
	// Noted before it runs: what arrives before that is not recorded until more does, and a
	// body may stand still.
	nd.transfers.needs(t, want.End)
	if !started {
		done(nil)
		return t, false
	}
	fs.start(nd, t, done)
	return t, true
}

// start runs a transfer behind the caller.
func (fs *FS) start(nd *node, t *transfer, done func(*transfer)) {
	if !fs.begin() {
		nd.transfers.end(t, ErrInterrupted)
		done(t)
		return
	}
	fs.acquire(nd.ino) // the reader's own use may end before
	go func() {
		defer fs.tasks.Done()
		defer done(t)
		defer fs.release(nd)
		ctx, cancel := context.WithTimeout(fs.ctx, transferTime*time.Duration(1+t.Len()/transferUnit))
		defer cancel()
		err := errGivenUp
		if nd.transfers.begun(t, cancel) {
			err = fs.run(ctx, nd, t)
		}
		if _, data := nd.transfers.has(t); data == nil {
			nd.transfers.end(t, err)
		}
	}()
}

// run reads a range of an inode's object into its content file, except where bytes became
// resident meanwhile. What it has gathered instead ends later.
func (fs *FS) run(ctx context.Context, nd *node, t *transfer) (err error) {
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return err
	}
	absent := c.Absent(t.Off, t.Len())
	if len(absent) == 0 {
		return nil
	}
	at, end := absent[0].Off, absent[len(absent)-1].End
	body, err := fs.openObject(ctx, n, at, end-at)
	if isChangedThere(err) {
		return fs.changedThere(ctx, n, c, err)
	}
	if err != nil {
		return err
	}
	answered := time.Now()
	defer func() {
		_ = body.Close() // read only
		if err == nil {
			t.took = max(1, time.Since(answered))
		}
	}()
	fs.wb.Heard() // who waits for an upload may wait for this
	if end-at <= grainMost && c.BaseLen > wholeMost {
		if done, err := fs.gather(ctx, nd, n, t, extent.Range{Off: at, End: end}, body); done {
			if isChangedThere(err) {
				return fs.changedThere(ctx, n, c, err)
			}
			return err
		}
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	var b batch
	for at < end {
		piece := buf[:min(pieceSize, end-at)]
		if at == absent[0].Off && c.BaseLen > wholeMost {
			piece = piece[:min(nd.transfers.first(t, at), end-at)]
		}
		if err := fs.readPiece(ctx, n, body, piece, at); err != nil {
			if isChangedThere(err) {
				return fs.changedThere(ctx, n, c, err)
			}
			return err
		}
		if whole := at == 0 && int64(len(piece)) == c.BaseLen; whole && c.File == 0 {
			if kept, err := fs.keepNew(nd, t.gen, piece); kept || err != nil {
				return err
			}
		}
		file, err := fs.keep(nd, t.gen, at, piece)
		if err != nil {
			return err
		}
		if file != b.file || at != b.End {
			if err := fs.record(nd, b); err != nil {
				return err
			}
			b = batch{extent.Range{Off: at}, file, t.gen}
		}
		at += int64(len(piece))
		b.End = at
		if at < end && !nd.transfers.due(t, at) {
			continue
		}
		if err := fs.record(nd, b); err != nil {
			return err
		}
		b = batch{}
		nd.transfers.progress(t, at)
	}
	return nil
}

// readPiece fills a piece of what an object has at an offset. An object that was replaced
// is told as it is (isChangedThere).
func (fs *FS) readPiece(ctx context.Context, n index.Inode, body io.Reader, piece []byte, at int64) error {
	if _, err := io.ReadFull(body, piece); err != nil && !isChangedThere(err) {
		return fs.ioError(ctx, fmt.Errorf("object %q at %d: %w", n.Placed, at, err))
	} else if err != nil {
		return err
	}
	return nil
}

// openObject opens a range of an inode's object, as the index knows it.
func (fs *FS) openObject(ctx context.Context, n index.Inode, off, length int64) (io.ReadCloser, error) {
	k, ok, err := fs.Index.Key(n.Placed)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("inode %d has no object: %w", n.Ino, ErrStale)
	}
	body, _, err := fs.Bucket.Get(ctx, n.Placed, objstore.GetOptions{Offset: off, Length: length, IfMatch: k.ETag})
	return body, fs.ioError(ctx, err)
}
