package writeback

import (
	"hash/maphash"
	"io"

	"golang.org/x/sync/errgroup"

	"objvol/objstore"
)

// A file that programs write to behind our back may be written to while a part of it is sent,
// or after that. So each part is summed as it is sent, and its sum compared with that of the
// file when this is sent as a whole. The sums leave the process nowhere.

// sumSeed is this process's alone, so that no content can be made to have the sum of another.
var sumSeed = maphash.MakeSeed()

func newSum() *maphash.Hash {
	h := new(maphash.Hash)
	h.SetSeed(sumSeed)
	return h
}

// summedBody is a body that is summed while it is read.
type summedBody struct {
	objstore.Body
	latest *maphash.Hash // of the attempt that was begun last
}

// Open implements objstore.Body.
func (b *summedBody) Open() (io.ReadCloser, error) {
	r, err := b.Body.Open()
	if err != nil {
		return nil, err
	}
	b.latest = newSum()
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r, b.latest), r}, nil
}

// sum is that of a body that was sent: its last attempt has read all of it.
func (b *summedBody) sum() uint64 { return b.latest.Sum64() }

// comparedAtOnce is how many parts are compared with their file at once.
const comparedAtOnce = 2

// compare marks the parts of a stream that are not what the content has. Nobody else changes
// what is known of them any more.
func (s *stream) compare(c Content) error {
	if !s.unseen {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(comparedAtOnce)
	for i, p := range s.parts {
		if !p.sent || p.End > c.Size() {
			continue
		}
		g.Go(func() error {
			now := newSum()
			_, err := io.Copy(now, io.NewSectionReader(c, p.Off, p.Len()))
			s.parts[i].stale = now.Sum64() != p.sum
			return err
		})
	}
	return g.Wait()
}
