package memory

import (
	"context"
	"errors"
	"fmt"
	"io"

	"objvol/objstore"
)

// receive reads what a client sends. A body that does not have the size it says is not
// a request.
func receive(ctx context.Context, body objstore.Body) (data []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := body.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: open the body: %w", objstore.ErrInvalid, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err = io.ReadAll(r)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read the body: %w", objstore.ErrInvalid, err)
	}
	if int64(len(data)) != body.Size() {
		return nil, fmt.Errorf("%w: a body of %d bytes instead of %d", objstore.ErrInvalid, len(data), body.Size())
	}
	return data, nil
}

// body is what Get gives to read. It ends with the request's context, or with an error
// where a fault cuts it.
type body struct {
	ctx  context.Context // the body is a part of the request
	key  string
	data []byte
	err  error // at the end of data
}

func newBody(ctx context.Context, key string, data []byte, cut *Fault) *body {
	b := &body{ctx: ctx, key: key, data: data, err: io.EOF}
	if cut != nil && cut.CutBody < int64(len(data)) {
		b.data = data[:cut.CutBody]
		b.err = &objstore.OpError{Op: objstore.OpGet, Key: key, Err: cut.Err}
	}
	return b
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, &objstore.OpError{Op: objstore.OpGet, Key: b.key, Err: err}
	}
	if len(b.data) == 0 {
		return 0, b.err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// Close ends the body: it reads no further.
func (b *body) Close() error {
	b.data, b.err = nil, errors.New("read of a closed body")
	return nil
}
