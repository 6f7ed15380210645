package writeback

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// body returns what an inode's object holds, and of which pieces the object is made if it
// is large. With whole set none of them is copied.
func (w *Writeback) body(ctx context.Context, n index.Inode, t task, whole bool) (Content, pieces, error) {
	switch {
	case n.IsRecord():
		return fixed{strings.NewReader(""), n.Gen}, pieces{}, nil
	case isRegular(n):
		var plan pieces
		var failed error
		// Who was disturbed once is given a copy that nobody else writes to.
		c, err := w.Files.Open(ctx, n.Whole(), w.sched.attempts(t) > 0, func(n index.Inode, c index.Content) []extent.Range {
			plan, failed = w.pieces(n, c, whole)
			return plan.sent()
		})
		if err != nil {
			return nil, pieces{}, err
		}
		now, err := w.Index.Inode(n.Whole())
		if err = errors.Join(err, failed); err != nil {
			return nil, pieces{}, errors.Join(err, c.Close())
		}
		if plan.copies() && now.PlacedGen != plan.gen {
			// The object became another's while its key was looked up.
			return nil, pieces{}, errors.Join(errChanged, c.Close())
		}
		return beating{c, &w.pulse}, plan, nil
	case n.Target != "":
		return fixed{strings.NewReader(n.Target), n.Gen}, pieces{}, nil
	default:
		return fixed{strings.NewReader(""), n.Gen}, pieces{}, nil
	}
}

// pieces divides a content as it is sent: what is the same in the object that the inode has
// is copied where the store can, if the content is large.
func (w *Writeback) pieces(n index.Inode, c index.Content, whole bool) (pieces, error) {
	if whole || w.sendsWhole.Load() || n.Size <= w.putSize() || n.Placed == "" || !w.Bucket.Capabilities().CopyPart {
		return w.sentWhole(n.Size), nil
	}
	from, ok, err := w.Index.Key(n.Placed)
	if err != nil || !ok || from.Gone || from.ETag == "" {
		return w.sentWhole(n.Size), err
	}
	return w.sentChanged(n, c, from), nil
}

// everything is the Need of a content that must be whole.
func everything(n index.Inode, _ index.Content) []extent.Range {
	return []extent.Range{{Off: 0, End: n.Size}}
}

// whole is a Body that keeps its last bytes back until it is known that the content did
// not change while it was read.
type whole struct {
	Content
	sent *sending
}

// sending is what became of a body.
type sending struct {
	times atomic.Int32 // how often it was read
	held  atomic.Bool  // its end was kept back
}

// Open implements objstore.Body.
func (b whole) Open() (io.ReadCloser, error) {
	b.sent.times.Add(1)
	return io.NopCloser(&steady{r: io.NewSectionReader(b.Content, 0, b.Size()), c: b.Content, left: b.Size(), held: &b.sent.held}), nil
}

// steady reads a content and fails before its last byte if the content has changed. What
// was made shorter meanwhile cannot be read to its end, which is no failure of the file.
type steady struct {
	r    io.Reader
	c    Content
	left int64
	held *atomic.Bool
}

func (s *steady) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	if (s.left <= 0 || failed(err)) && s.c.Changed() {
		s.held.Store(true)
		return 0, errChanged
	}
	return n, err
}

func failed(err error) bool { return err != nil && !errors.Is(err, io.EOF) }

// fixed is the Content of what is no regular file.
type fixed struct {
	*strings.Reader
	gen uint64
}

func (f fixed) Gen() uint64 { return f.gen }

func (f fixed) Changed() bool { return false }

func (f fixed) Close() error { return nil }
