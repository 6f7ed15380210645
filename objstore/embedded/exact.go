//go:build !noembedded

package embedded

import (
	"errors"
	"io"

	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
)

// exactly returns a body that fails if it ends before its announced length. To the
// library a connection that breaks looks like the end of a body, and it would store
// what has arrived. Bodies with a trailer check themselves.
func exactly(body io.Reader, length *int64) io.Reader {
	if _, checked := body.(middlewares.ChecksumReader); checked || body == nil || length == nil {
		return body
	}
	return &exact{body: body, left: *length}
}

type exact struct {
	body io.Reader
	left int64 // bytes
}

func (e *exact) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}
