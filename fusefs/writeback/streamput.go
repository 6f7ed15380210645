package writeback

import (
	"context"
	"errors"

	"objvol/objstore"
)

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
