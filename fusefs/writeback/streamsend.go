package writeback

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/objstore"
)

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
