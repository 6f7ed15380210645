package s3

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// A part that lies in a file is read once for its checksum, which goes before it, and sent
// by the kernel: a body with a trailer is copied into chunks here and out of them there.

// sendFile sends a part from the file that it lies in. A part that is written to meanwhile
// is refused (isDamaged): the store compares it with its checksum.
func (b *Bucket) sendFile(ctx context.Context, key, id string, number int, in objstore.FileRange) (objstore.Part, error) {
	sum, err := sumOf(ctx, in)
	if err != nil {
		return objstore.Part{}, err
	}
	body := &fileBody{in: in, at: in.Offset, left: in.Length}
	defer body.end()
	resp, err := b.send(ctx, request{
		method: http.MethodPut,
		key:    key,
		query:  url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {id}},
		signed: http.Header{checksumHeader: {sum}},
		file:   body,
	})
	if err != nil {
		return objstore.Part{}, body.blame(ctx, err)
	}
	part := b.part(number, resp.Header.Get("Etag"), in.Length, resp.Header.Get(checksumHeader))
	return part, resp.Body.Close()
}

// isDamaged reports whether the bytes that arrived had not the checksum that was announced.
func isDamaged(err error) bool {
	r, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && (r.Code == "XAmzContentChecksumMismatch" || r.Code == "BadDigest")
}

// sums are buffers for reading what is summed: small enough to stay in the processor's cache.
var sums = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// sumOf returns the CRC32C of a range of a file, as the header has it.
func sumOf(ctx context.Context, in objstore.FileRange) (string, error) {
	buf := sums.Get().(*[128 << 10]byte)
	defer sums.Put(buf)
	var sum uint32
	for at, left := in.Offset, in.Length; left > 0; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		var n int
		var failed error
		if err := in.Use(func(fd int) { n, failed = unix.Pread(fd, buf[:min(left, int64(len(buf)))], at) }); err != nil {
			failed = err
		}
		switch {
		case errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			return "", bodyError(failed)
		case n == 0:
			return "", bodyError(io.ErrUnexpectedEOF)
		}
		sum = crc32.Update(sum, castagnoli, buf[:n])
		at, left = at+int64(n), left-int64(n)
		if in.Moved != nil {
			in.Moved(n, false)
		}
	}
	return checksumOf(sum), nil
}

// fileBody is the body of a request that lies in a file. Over a connection of ours the
// kernel sends it; over others it is read.
type fileBody struct {
	in objstore.FileRange

	mu   sync.Mutex // protects what follows; held while the file is used
	at   int64      // offset in the file
	left int64      // bytes still to come
	err  error
}

// Read implements io.Reader.
func (b *fileBody) Read(p []byte) (int, error) {
	return b.next(int64(len(p)), func(fd int, at, most int64) (int, error) { return unix.Pread(fd, p[:most], at) })
}

// sendTo has the kernel send at most so many bytes to a socket that does not block.
func (b *fileBody) sendTo(socket int, most int64) (int, error) {
	return b.next(most, func(fd int, at, most int64) (int, error) { return unix.Sendfile(socket, fd, &at, int(most)) })
}

// next moves at most so many bytes. A file that is too short is damaged.
func (b *fileBody) next(most int64, move func(fd int, at, most int64) (int, error)) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return 0, b.err
	case b.left == 0:
		return 0, io.EOF
	case most == 0:
		return 0, nil
	}
	for {
		if err := b.in.Use(func(fd int) { n, err = move(fd, b.at, min(most, b.left)) }); err != nil {
			b.err = err
			return 0, err
		}
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case err != nil:
		return 0, err // the socket's, mostly
	case n == 0:
		b.err = io.ErrUnexpectedEOF
		return 0, b.err
	}
	b.at, b.left = b.at+int64(n), b.left-int64(n)
	if b.in.Moved != nil {
		b.in.Moved(n, true)
	}
	return n, nil
}

// Close implements io.Closer. Whoever made the body ends it.
func (b *fileBody) Close() error { return nil }

// end refuses further use of the file: the transport may go on after an early answer.
func (b *fileBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = errSourceClosed
}

// drop has nothing more to be sent.
func (b *fileBody) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = 0
}

// blame returns the file's own error, if it had one, for the request's.
func (b *fileBody) blame(ctx context.Context, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || ctx.Err() != nil {
		return err
	}
	return bodyError(b.err)
}

// ReadFrom sends a body, by the kernel if it lies in a file.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	body, ok := limited.R.(*fileBody)
	socket, ok2 := c.Conn.(syscall.Conn)
	if !ok || !ok2 {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	return c.sendFile(raw, body, limited)
}

func (c *conn) sendFile(raw syscall.RawConn, body *fileBody, limit *io.LimitedReader) (sent int64, err error) {
	for limit.N > 0 {
		if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
			return sent, err
		}
		var n int
		var failed error
		if err := raw.Write(func(fd uintptr) (done bool) {
			n, failed = body.sendTo(int(fd), limit.N)
			return !errors.Is(failed, unix.EAGAIN)
		}); err != nil {
			failed = err
		}
		switch {
		case errors.Is(failed, io.EOF):
			return sent, nil
		case errors.Is(failed, syscall.EPIPE), errors.Is(failed, syscall.ECONNRESET):
			body.drop() // as in Write
			sent += limit.N
			limit.N = 0
			return sent, nil
		case failed != nil:
			return sent, failed
		}
		sent += int64(n)
		limit.N -= int64(n)
	}
	return sent, nil
}
