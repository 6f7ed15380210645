package writeback

import (
	"context"
	"strings"
	"sync"
	"time"

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

func (s *stream) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
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
