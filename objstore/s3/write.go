package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// Put writes an object in one request.
func (b *Bucket) Put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
	info, err := b.put(ctx, key, body, opts)
	if err != nil {
		return objstore.Object{}, failWrite(ctx, objstore.OpPut, key, opts.Condition, err)
	}
	return objstore.Object{Key: key, Size: body.Size(), ETag: unquote(info.ETag), Attributes: opts.Attributes, HasMetadata: true}, nil
}

func (b *Bucket) put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (minio.UploadInfo, error) {
	if err := checkKey(key); err != nil {
		return minio.UploadInfo{}, err
	}
	if err := checkSize(body.Size()); err != nil {
		return minio.UploadInfo{}, err
	}
	options, err := putOptions(opts.Attributes, opts.Condition)
	if err != nil {
		return minio.UploadInfo{}, err
	}
	options.Checksum = minio.ChecksumCRC32C
	options.DisableContentSha256 = true
	source, err := openSource(body)
	if err != nil {
		return minio.UploadInfo{}, err
	}
	defer source.close()
	info, err := b.core.PutObject(ctx, b.name, key, source, body.Size(), "", "", options)
	return info, source.blame(ctx, err)
}

// putOptions turns attributes and a condition into minio-go's options.
func putOptions(a objstore.Attributes, cond objstore.Condition) (minio.PutObjectOptions, error) {
	opts := minio.PutObjectOptions{ContentType: a.ContentType, UserMetadata: map[string]string{}}
	total := 0
	for name, value := range a.Metadata {
		total += len(name) + len(value)
		if !isToken(name) || !isPrintable(value) {
			return opts, fmt.Errorf("%w: metadata %q: names are letters, digits and hyphens, values printable ASCII", objstore.ErrInvalid, name)
		}
		opts.UserMetadata[metadataPrefix+name] = value
	}
	if total > objstore.MaxMetadata {
		return opts, fmt.Errorf("%w: metadata of %d bytes, at most %d are possible", objstore.ErrInvalid, total, objstore.MaxMetadata)
	}
	for name, value := range a.Headers {
		if !slices.Contains(keptHeaders, name) || !isPrintable(value) {
			return opts, fmt.Errorf("%w: header %q cannot be kept", objstore.ErrInvalid, name)
		}
		// minio-go passes standard headers among the metadata through as they are.
		opts.UserMetadata[name] = value
	}
	switch {
	case cond.IfMatch != "" && cond.IfAbsent:
		return opts, fmt.Errorf("%w: two conditions", objstore.ErrInvalid)
	case cond.IfMatch != "":
		opts.SetMatchETag(cond.IfMatch)
	case cond.IfAbsent:
		opts.SetMatchETagExcept("*")
	}
	return opts, nil
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != ""
}

func isPrintable(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

func checkSize(size int64) error {
	if size < 0 || size > objstore.MaxPutSize {
		return fmt.Errorf("%w: body of %d bytes, at most %d are possible", objstore.ErrInvalid, size, int64(objstore.MaxPutSize))
	}
	return nil
}

// errSourceClosed ends what still reads a source after the request is over.
var errSourceClosed = errors.New("request is over")

// source is an open Body on its way to the store. The transport may still read it
// after an early answer has ended the request, so closing waits for such a Read and
// refuses later ones. Its failures are remembered, to be told from the network's.
type source struct {
	// mu protects what follows. It may be held while the body is read.
	mu   sync.Mutex
	body io.ReadCloser
	left int64 // bytes still to come
	err  error
}

func openSource(body objstore.Body) (*source, error) {
	r, err := body.Open()
	if err != nil {
		return nil, bodyError(err)
	}
	return &source{body: r, left: body.Size()}, nil
}

// Read gives the body up to its announced size. A shorter body is an error.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.body.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case s.left == 0 || err == nil:
		return n, nil
	case err == io.EOF: //nolint:errorlint // EOF is never wrapped by a Reader
		err = io.ErrUnexpectedEOF
	}
	s.err = err
	return n, err
}

// blame returns the body's own error, if it had one, for the request's.
func (s *source) blame(ctx context.Context, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || s.err == nil || ctx.Err() != nil {
		return err
	}
	return bodyError(s.err)
}

// bodyError is of kind ErrInvalid: a store never takes less than was announced, so
// the write certainly did not happen.
func bodyError(err error) error { return fmt.Errorf("%w: body: %w", objstore.ErrInvalid, err) }

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errSourceClosed
	// Only reading happened; nothing is lost by a failing close.
	_ = s.body.Close()
}
