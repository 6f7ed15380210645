package writeback

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/objstore"
)

// A file that is written in sequence goes to the bucket while it is written: a stream is a
// multipart upload whose parts are sent behind the writer. What is left when the file is to
// be in the bucket is its tail, and parts that were written to again.
//
// An upload's attributes are fixed when it begins. They are those of that moment, and the
// nonce of the write says so (earlyMark): whoever records the object, also after a crash,
// records with it that the attributes of the inode have still to be set. That is the one
// request of setattributes.go, some time later, so that it is the only one for the times, the
// mode and the name that programs give a file that they have just written. The content's
// generation is fixed as well: a file of which another one is sent meanwhile, or to which a
// new one begins, is sent as without a stream, and so is one that was renamed, because the
// key of an upload is fixed, too.
//
// The content of a part is final if nobody writes to it from the moment when it is told of
// (Grown) to that when the file is opened to be sent as a whole; each write says what it
// changes before it does (Rewritten). Both are called with the lock of the file held. Of a
// file that programs write to behind our back (GrownUnseen) no write is told: the sums of its
// parts, made of what was sent, are compared with the file in the end.

const (
	// streamParts is how many parts must be written before a stream begins.
	streamParts = putParts + 1
	// streamStep: of so many parts each has the same size; then they grow by one PartSize.
	// MaxParts of them hold 6 TiB, and the largest 1.3 GiB, if the first have 16 MiB.
	streamStep = 128
	// streamMargin is the share of a part that its end lies behind the writer.
	streamMargin = 4
	// streamAtOnce bounds the parts of one stream that are under way while the file is
	// written, and streamsAtOnce those of all: the program comes first.
	streamAtOnce  = 2
	streamsAtOnce = 4
	// settleEarly is for how long attributes may change before they are set.
	settleEarly = time.Second
)

// earlyMark ends the nonce of a write whose attributes may be older than its content.
const earlyMark = "-early"

func isEarly(nonce string) bool { return strings.HasSuffix(nonce, earlyMark) }

// streams are those of files that are being written.
type streams struct {
	count  atomic.Int32 // of all; read without the lock by every write
	places chan struct{}

	mu  sync.Mutex // protects all; a leaf, with those of the streams below it
	all map[index.Ino]*stream
}

// stream is the upload of one file that is being written.
type stream struct {
	ino     index.Ino
	gen     uint64 // of the content
	key     string
	nonce   string
	unseen  bool          // its writes are not told
	foreign index.Foreign // written before done is closed

	ctx    context.Context // ends when the stream is given up
	giveUp context.CancelFunc
	wake   chan struct{}
	done   chan struct{} // closed when nothing is under way any more
	up     index.Upload  // written before done is closed
	used   bool          // it was ended by putStream; of the step that has claimed it

	mu     sync.Mutex // protects what follows; a leaf
	parts  []streamed
	ending bool  // no more parts are begun
	taken  bool  // the upload belongs to who ends it
	err    error // why it cannot go on; final when done is closed
}

// streamed is a part of a stream.
type streamed struct {
	piece
	part  objstore.Part
	sum   uint64
	begun bool
	sent  bool
	stale bool // written to since it was claimed
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

// claim makes parts of what was written up to an end. It returns the end at which there is
// another one.
func (s *stream) claim(end, size int64) (next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.err != nil {
		return never
	}
	for {
		number, at := len(s.parts)+1, int64(0)
		if number > 1 {
			at = s.parts[number-2].End
		}
		grown := size * (1 + int64(number-1)/streamStep)
		if next = at + grown + size/streamMargin; next > end {
			break
		}
		if number > objstore.MaxParts-streamStep {
			s.err = errNoStream
			s.signal()
			return never
		}
		s.parts = append(s.parts, streamed{piece: piece{number: number, Range: extent.Range{Off: at, End: at + grown}}})
	}
	s.signal()
	return next
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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

// runStream sends the parts of a stream until it ends.
func (w *Writeback) runStream(s *stream) {
	defer close(s.done)
	defer s.giveUp()
	up, err := w.beginStream(s)
	if err == nil {
		s.up = up
		err = w.sendStream(s)
	}
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	over := !s.taken || s.err != nil
	s.mu.Unlock()
	if over && up.ID != "" && w.ctx.Err() == nil {
		w.abort(s.ctx, up)
	}
	if over && err != nil && s.ctx.Err() == nil {
		w.Log.Info("a file is not sent while it is written", "inode", uint64(s.ino), "key", s.key, "error", err)
	}
}

// beginStream begins the upload of a stream with the attributes of now.
func (w *Writeback) beginStream(s *stream) (index.Upload, error) {
	n, err := w.Index.Inode(s.ino)
	if err != nil {
		return index.Upload{}, err
	}
	j := &job{Step: Step{Ino: s.ino, Key: s.key}, nonce: s.nonce}
	attrs, err := w.attributes(n, j, s.gen, true)
	if err != nil {
		return index.Upload{}, err
	}
	s.foreign = j.foreign
	return w.beginUpload(s.ctx, s.key, attrs)
}

// sendStream sends the parts that are claimed, a few at once.
func (w *Writeback) sendStream(s *stream) error {
	g, ctx := errgroup.WithContext(s.ctx)
	g.SetLimit(streamAtOnce)
	for {
		one, ok, more := s.next()
		if !more || ctx.Err() != nil {
			break
		}
		if !ok {
			if !sleepOr(ctx, s.wake, -1) {
				break
			}
			continue
		}
		g.Go(func() error { return w.sendStreamed(ctx, s, one) })
	}
	err := g.Wait()
	if err == nil {
		err = s.ctx.Err()
	}
	return err
}

// next returns a part that can be sent, and whether there may be more.
func (s *stream) next() (one piece, ok, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.err != nil {
		return one, false, false
	}
	for i, p := range s.parts {
		if !p.begun && !p.stale {
			s.parts[i].begun = true
			return p.piece, true, true
		}
	}
	return one, false, true
}

// sendStreamed sends a part of a stream. One that is written to meanwhile is as if it had not
// been sent.
func (w *Writeback) sendStreamed(ctx context.Context, s *stream, one piece) error {
	select {
	case w.streams.places <- struct{}{}:
		defer func() { <-w.streams.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.isEnding() {
		return nil // who ends it sends the rest, more at once
	}
	part, sum, err := w.uploadStreamed(ctx, s, one)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.parts[one.number-1]
	if p.stale {
		return nil
	}
	p.part, p.sum, p.sent = part, sum, err == nil
	return err
}

func (s *stream) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

func (w *Writeback) uploadStreamed(ctx context.Context, s *stream, one piece) (part objstore.Part, sum uint64, err error) {
	c, err := w.Files.Part(s.ino, s.gen, one.Range)
	if err != nil {
		return part, sum, err
	}
	section := objstore.Section{R: beatingPart{c, &w.pulse}, Offset: one.Off, Length: one.Len()}
	var body objstore.Body = section
	summed := summedBody{Body: section}
	if s.unseen {
		body = &summed
	}
	err = w.request(ctx, func(ctx context.Context) (err error) {
		part, err = w.Bucket.UploadPart(ctx, s.key, s.up.ID, one.number, body)
		return err
	})
	if err == nil && s.unseen {
		sum = summed.sum()
	}
	return part, sum, errors.Join(err, c.Close())
}

// beatingPart is a part that tells when it is read.
type beatingPart struct {
	io.ReaderAt
	pulse *pulse
}

// ReadAt implements io.ReaderAt.
func (b beatingPart) ReadAt(p []byte, off int64) (int, error) {
	b.pulse.beat()
	return b.ReaderAt.ReadAt(p, off)
}

// InFile implements objstore.Filed.
func (b beatingPart) InFile(off, n int64) (objstore.FileRange, bool) {
	return b.pulse.inFile(b.ReaderAt, off, n)
}

// errNoStream is a stream that cannot be used: all is sent without it.
var errNoStream = errors.New("the parts that were sent while the file was written cannot be used")

// putStream puts together what a stream has sent of a content and the rest of it.
func (w *Writeback) putStream(ctx context.Context, j *job, c Content) (objstore.Object, error) {
	s := j.stream
	select {
	case <-s.done:
	case <-ctx.Done():
		return objstore.Object{}, &unsentError{ctx.Err()}
	}
	w.forgetStream(s) // what changes from here on the content tells
	if s.err != nil || c.Gen() != s.gen || c.Size() <= w.putSize() {
		return objstore.Object{}, &unsentError{errNoStream}
	}
	if err := s.compare(c); err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	s.used, j.foreign = true, s.foreign
	all, known := s.rest(c.Size(), w.PartSize)
	return w.finish(ctx, j, s.up, func(ctx context.Context, id string) ([]objstore.Part, error) {
		return w.sendPieces(ctx, j.Key, id, c, pieces{all: all}, known)
	})
}

// leaveStream aborts the upload of a stream that was claimed and not used.
func (w *Writeback) leaveStream(s *stream) {
	w.forgetStream(s)
	if s.used {
		return
	}
	s.giveUp()
	<-s.done
	if s.err == nil && w.ctx.Err() == nil {
		w.abort(w.ctx, s.up)
	}
}

// rest divides a content into the parts of a stream, as far as they reach, and the rest. Of
// those that need not be sent any more the part is known.
func (s *stream) rest(total, least int64) (all []piece, known map[int]objstore.Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = make(map[int]objstore.Part)
	at := int64(0)
	for _, p := range s.parts {
		if at == total {
			return all, known
		}
		if p.End <= total && p.sent && !p.stale {
			known[p.number] = p.part
		}
		p.End = min(p.End, total)
		all = append(all, p.piece)
		at = p.End
	}
	left := int64(objstore.MaxParts - len(s.parts))
	size := max(least, (total-at+left-1)/left)
	for ; at < total; at += size {
		all = append(all, piece{number: len(all) + 1, Range: extent.Range{Off: at, End: min(at+size, total)}})
	}
	return all, known
}
