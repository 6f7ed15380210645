package objstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// continuedBody is the body of a Get that WithRetry continues after it broke. Like any
// reader it is for one goroutine.
type continuedBody struct {
	call *call
	ctx  context.Context // of the Get that the body belongs to
	body io.ReadCloser   // nil after it broke and could not be continued
	etag string
	at   int64 // offset of the next byte
	end  int64 // offset behind the last one

	err error // what the body broke with, or what ended it for good
}

// Read reads on, from a new request where the last one broke.
func (b *continuedBody) Read(p []byte) (int, error) {
	for {
		if b.err != nil {
			if err := b.reopen(); err != nil {
				return 0, err
			}
		}
		n, err := b.body.Read(p)
		b.at += int64(n)
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		b.err = err
		if n > 0 {
			return n, nil // the error comes with the next Read
		}
	}
}

// reopen asks for the rest of the object after b.err, which it clears.
func (b *continuedBody) reopen() error {
	if b.body == nil || !errors.Is(b.err, ErrUnavailable) {
		return b.err
	}
	if b.at == b.end {
		return io.EOF // all there was came before the break
	}
	// The broken body has said all that it had to say. It goes before the pause, so that
	// it takes nobody's turn.
	_ = b.body.Close()
	b.body = nil
	b.call.begun = time.Now()
	if b.err = b.call.again(b.ctx, b.err); b.err != nil {
		return b.err
	}
	b.err = b.call.run(b.ctx, func() error {
		body, _, err := b.call.r.Bucket.Get(b.ctx, b.call.key, GetOptions{Offset: b.at, Length: b.end - b.at, IfMatch: b.etag})
		if err == nil {
			b.body = body
		}
		return err
	})
	return b.err
}

// Close ends the request under way.
func (b *continuedBody) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}
