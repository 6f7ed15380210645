package writeback

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"objvol/fusefs/index"
)

// streams are those of files that are being written.
type streams struct {
	count  atomic.Int32 // of all; read without the lock by every write
	places chan struct{}

	mu  sync.Mutex // protects all; a leaf, with those of the streams below it
	all map[index.Ino]*stream
}

// never is the end of a file of which no stream can be wanted any more.
const never = math.MaxInt64

// Grown tells that a file was written in sequence from its beginning to an end: what lies
// well behind is probably final. It returns the end from which on the next call is of use,
// and whether the file is being sent. It does not block.
func (w *Writeback) Grown(ino index.Ino, end int64) (next int64, streaming bool) {
	return w.grown(ino, end, false)
}

// GrownUnseen is Grown for a file whose writes are not told: it has so many bytes.
func (w *Writeback) GrownUnseen(ino index.Ino, size int64) (next int64, streaming bool) {
	return w.grown(ino, size, true)
}

func (w *Writeback) grown(ino index.Ino, end int64, unseen bool) (next int64, streaming bool) {
	w.streams.mu.Lock()
	s := w.streams.all[ino]
	w.streams.mu.Unlock()
	if s == nil {
		first := streamParts * w.PartSize
		if end < first {
			return first, false
		}
		if s = w.newStream(ino, unseen); s == nil {
			return never, false
		}
	} else if n, err := w.Index.Inode(ino); err != nil || !w.fits(n, s) || unseen != s.unseen {
		w.dropStream(s)
		return end + w.PartSize, false
	}
	next = s.claim(end, w.PartSize)
	return next, next != never
}

// fits reports whether a stream is still one of what an inode is to be in the bucket.
func (w *Writeback) fits(n index.Inode, s *stream) bool {
	if n.Gen != s.gen || n.Nlink == 0 || n.Link != "" || n.Of != 0 {
		return false
	}
	key, err := KeyOf(w.Index, w.Layout, n)
	return err == nil && key == s.key
}

// newStream begins a stream, nil if the file cannot have one.
func (w *Writeback) newStream(ino index.Ino, unseen bool) *stream {
	caps := w.Bucket.Capabilities()
	if !caps.SetAttributes || !caps.ConditionalComplete || w.setsNone.Load() || w.ctx.Err() != nil {
		return nil
	}
	n, err := w.Index.Inode(ino)
	if err != nil || n.Nlink == 0 || n.Link != "" || n.Of != 0 || n.Sending != "" || n.Gen <= n.PlacedGen || !isRegular(n) {
		return nil
	}
	c, err := w.Index.Content(ino)
	if err != nil || c.BaseLen > 0 || n.Placed != "" && c.SameGen == n.PlacedGen && c.Same.Size() > 0 {
		return nil // some of it can be copied
	}
	key, err := KeyOf(w.Index, w.Layout, n)
	if err != nil {
		return nil
	}
	s := &stream{
		ino: ino, gen: n.Gen, key: key, unseen: unseen, nonce: newNonce(n.AttrGen) + earlyMark,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.ctx, s.giveUp = context.WithCancel(w.ctx)
	w.streams.mu.Lock()
	w.streams.all[ino] = s
	w.streams.count.Store(int32(len(w.streams.all)))
	w.streams.mu.Unlock()
	w.done.Go(func() { w.runStream(s) })
	return s
}

// Rewritten tells that n bytes from off of a file are about to change.
func (w *Writeback) Rewritten(ino index.Ino, off, n int64) {
	if w.streams.count.Load() == 0 {
		return
	}
	w.streams.mu.Lock()
	s := w.streams.all[ino]
	w.streams.mu.Unlock()
	if s == nil {
		return
	}
	if s.unseen {
		return // it is compared
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range slices.Backward(s.parts) {
		if p.End <= off {
			break
		}
		if n > math.MaxInt64-off || p.Off < off+n {
			s.parts[i].stale = true
		}
	}
}

// Ended tells that a file needs no stream: it has no name, or the bucket has all of it.
func (w *Writeback) Ended(ino index.Ino) {
	if w.streams.count.Load() == 0 {
		return
	}
	w.streams.mu.Lock()
	s := w.streams.all[ino]
	w.streams.mu.Unlock()
	if s != nil {
		w.dropStream(s)
	}
}

// dropStream gives a stream up, unless somebody ends it.
func (w *Writeback) dropStream(s *stream) {
	w.forgetStream(s)
	s.mu.Lock()
	taken := s.taken
	s.ending = true
	s.mu.Unlock()
	if !taken {
		s.giveUp()
	}
	s.signal()
}

func (w *Writeback) forgetStream(s *stream) {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	if w.streams.all[s.ino] == s {
		delete(w.streams.all, s.ino)
		w.streams.count.Store(int32(len(w.streams.all)))
	}
}

// claimStream returns the stream by which an inode can be put, if there is one, and stops it.
// One that does not fit is given up.
func (w *Writeback) claimStream(n index.Inode, step Step) *stream {
	if w.streams.count.Load() == 0 {
		return nil
	}
	w.streams.mu.Lock()
	s := w.streams.all[n.Whole()]
	w.streams.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	usable := s.err == nil && len(s.parts) > 0 && !s.taken
	if usable = usable && step.Action == Put && step.Ino == s.ino && step.Key == s.key && n.Gen == s.gen && n.Link == "" && n.Size > w.putSize(); usable {
		s.taken, s.ending = true, true
	}
	s.mu.Unlock()
	if !usable {
		w.dropStream(s)
		return nil
	}
	s.signal()
	return s
}
