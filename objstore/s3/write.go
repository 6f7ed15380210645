package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	return objstore.Object{Key: key, Size: body.Size(), ETag: unquote(info.ETag)}, nil
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
	if body.Size() <= smallBody {
		return b.putSmall(ctx, key, body, options)
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
		if !isName(name) || !isValue(value) {
			return opts, fmt.Errorf("%w: metadata %q: names are lower-case letters, digits and hyphens, values printable ASCII without spaces around", objstore.ErrInvalid, name)
		}
		opts.UserMetadata[metadataPrefix+name] = value
	}
	if total > objstore.MaxMetadata {
		return opts, fmt.Errorf("%w: metadata of %d bytes, at most %d are possible", objstore.ErrInvalid, total, objstore.MaxMetadata)
	}
	for name, value := range a.Headers {
		if !slices.Contains(keptHeaders, name) || !isValue(value) {
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

// isName reports whether metadata can have this name: as a header, and as the name of
// an XML element in MinIO's listings.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != ""
}

// isValue reports whether a header can have this value and keep it: HTTP drops spaces
// around it.
func isValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s == strings.TrimSpace(s)
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
	s := &source{body: r, left: body.Size()}
	if s.left == 0 {
		// Nothing will read it.
		if err := s.endLocked(); err != nil {
			s.close()
			return nil, bodyError(err)
		}
	}
	return s, nil
}

// Read gives the body, which must have exactly its announced size. That it is longer
// is found out before its last bytes are given: the store would take them for all.
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
	case s.left == 0:
		err = s.endLocked()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		s.err, n = err, 0
	}
	return n, err
}

// endLocked fails unless the body ends here.
func (s *source) endLocked() error {
	switch _, err := io.ReadFull(s.body, make([]byte, 1)); {
	case err == nil:
		return errors.New("longer than its size")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
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
