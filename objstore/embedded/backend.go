//go:build !noembedded

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// store is versitygw's posix backend with its races closed and its errors told; doc.go
// lists them. Locks are taken in the order key, tree.
type store struct {
	*posix.Posix

	attributes attributes
	log        *slog.Logger

	// keys: a write shares its key's lock while it runs; a delete, and a copy of an object
	// onto itself, own it.
	keys keyLocks
	// tree is held by what removes folders, and by what makes a folder an object.
	tree sync.Mutex
}

var _ backend.Backend = (*store)(nil)

func (s *store) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	if !keepable(*in.Key) {
		return s3response.PutObjectOutput{}, errKey
	}
	bucket, key := *in.Bucket, *in.Key
	defer s.keys.share(filepath.Join(bucket, key))()
	if strings.HasSuffix(key, "/") {
		s.tree.Lock()
		defer s.tree.Unlock()
		if len(in.Metadata) == 0 {
			// The backend would leave the metadata that was there before.
			if err := s.attributes.DeleteAttribute(bucket, key, "metadata"); err != nil {
				s.log.Debug("no metadata to remove", "bucket", bucket, "key", key, "err", err)
			}
		}
	} else {
		s.prune(bucket, key)
	}
	in.Body = exactly(in.Body, in.ContentLength)
	out, err := s.Posix.PutObject(ctx, in)
	// The backend says this of every failure to give the object its name.
	if is(err, s3err.ErrExistingObjectIsDirectory) && conflict(bucket, key) == nil {
		err = errors.New("naming the object did not succeed")
	}
	return out, s.answer("put", bucket, key, err)
}

func (s *store) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	bucket, key := *in.Bucket, *in.Key
	defer s.keys.share(filepath.Join(bucket, key))()
	s.prune(bucket, key)
	out, version, err := s.complete(ctx, in)
	return out, version, s.answer("complete", bucket, key, err)
}

func (s *store) complete(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	// The backend calls an unknown upload complete if its key holds any object.
	if _, err := s.ListParts(ctx, &s3.ListPartsInput{Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, MaxParts: new(int32(1))}); err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", err
	}
	if err := conflict(*in.Bucket, *in.Key); err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", err
	}
	return s.Posix.CompleteMultipartUpload(ctx, in)
}

func (s *store) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	if !keepable(*in.Key) {
		return &s3.DeleteObjectOutput{}, nil
	}
	bucket, key := *in.Bucket, *in.Key
	defer s.keys.own(filepath.Join(bucket, key))()
	s.tree.Lock()
	defer s.tree.Unlock()
	if in.IfMatch != nil {
		// The backend does not miss what is not there.
		if _, err := s.Posix.HeadObject(ctx, &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key}); err != nil {
			return nil, s.answer("delete", bucket, key, err)
		}
	}
	out, err := s.Posix.DeleteObject(ctx, in)
	if is(err, s3err.ErrDirectoryNotEmpty) || is(err, s3err.ErrNoSuchKey) {
		// There is no such object: a folder with objects in it is none.
		return &s3.DeleteObjectOutput{}, nil
	}
	return out, s.answer("delete", bucket, key, err)
}

func (s *store) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	var out s3response.DeleteResult
	for _, o := range in.Delete.Objects {
		if o.ETag != nil {
			*o.ETag = strings.Trim(*o.ETag, `"`)
		}
		if _, err := s.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: in.Bucket, Key: o.Key, VersionId: o.VersionId, IfMatch: o.ETag}); err != nil {
			out.Error = append(out.Error, s3err.ObjectDeleteError(o.Key, o.VersionId, err))
			continue
		}
		out.Deleted = append(out.Deleted, types.DeletedObject{Key: o.Key})
	}
	return out, nil
}

func (s *store) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	if !keepable(*in.Key) {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	out, err := steady(ctx, filepath.Join(*in.Bucket, *in.Key),
		func() (*s3.HeadObjectOutput, error) { return s.Posix.HeadObject(ctx, in) },
		func(*s3.HeadObjectOutput) error { return nil })
	return out, s.answer("head", *in.Bucket, *in.Key, err)
}

func (s *store) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	if !keepable(*in.Key) {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	out, err := steady(ctx, filepath.Join(*in.Bucket, *in.Key),
		func() (*s3.GetObjectOutput, error) { return s.Posix.GetObject(ctx, in) },
		func(out *s3.GetObjectOutput) error {
			if out == nil || out.Body == nil {
				return nil
			}
			return out.Body.Close()
		})
	return out, s.answer("get", *in.Bucket, *in.Key, err)
}

func (s *store) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	if !keepable(*in.Key) {
		return s3response.CopyObjectOutput{}, errKey
	}
	bucket, key := *in.Bucket, *in.Key
	path := filepath.Join(bucket, key)
	from, source, _, err := backend.ParseCopySource(*in.CopySource)
	if err != nil {
		return s3response.CopyObjectOutput{}, s.answer("copy", bucket, key, err)
	}
	if filepath.Join(from, source) == path {
		// The object is changed in its place, some time after its ETag was compared.
		defer s.keys.own(path)()
	} else {
		defer s.keys.share(path)()
	}
	out, err := s.Posix.CopyObject(ctx, in)
	if err == nil && filepath.Join(from, source) == path {
		err = s.restate(bucket, key, in)
	}
	return out, s.answer("copy", bucket, key, err)
}

// restate ends the copy of an object onto itself: headers that it has no more go, and
// LastModified tells of the change.
func (s *store) restate(bucket, key string, in s3response.CopyObjectInput) error {
	for header, value := range map[string]*string{
		"content-encoding": in.ContentEncoding, "content-language": in.ContentLanguage,
		"content-disposition": in.ContentDisposition, "cache-control": in.CacheControl, "expires": in.Expires,
	} {
		if value != nil && *value != "" {
			continue
		}
		if err := s.attributes.DeleteAttribute(bucket, key, header); err != nil && !errors.Is(err, meta.ErrNoSuchKey) {
			return err
		}
	}
	now := time.Now()
	return os.Chtimes(filepath.Join(bucket, key), now, now)
}

func (s *store) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	out, err := s.Posix.ListObjects(ctx, in)
	return out, s.answer("list", *in.Bucket, "", err)
}

func (s *store) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	out, err := s.Posix.ListObjectsV2(ctx, in)
	return out, s.answer("list", *in.Bucket, "", err)
}

func (s *store) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	if !keepable(*in.Key) {
		return s3response.InitiateMultipartUploadResult{}, errKey
	}
	out, err := s.Posix.CreateMultipartUpload(ctx, in)
	return out, s.answer("create upload", *in.Bucket, *in.Key, err)
}

func (s *store) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	in.Body = exactly(in.Body, in.ContentLength)
	out, err := s.Posix.UploadPart(ctx, in)
	return out, s.answer("upload part", *in.Bucket, *in.Key, err)
}

func (s *store) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	bucket, key, _, err := backend.ParseCopySource(*in.CopySource)
	if err != nil {
		return s3response.CopyPartResult{}, s.answer("copy part", *in.Bucket, *in.Key, err)
	}
	if !keepable(key) || conflict(bucket, key) != nil {
		return s3response.CopyPartResult{}, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	out, err := steady(ctx, filepath.Join(bucket, key),
		func() (s3response.CopyPartResult, error) { return s.Posix.UploadPartCopy(ctx, in) },
		func(s3response.CopyPartResult) error { return nil })
	return out, s.answer("copy part", *in.Bucket, *in.Key, err)
}

func (s *store) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	return s.answer("abort upload", *in.Bucket, *in.Key, s.Posix.AbortMultipartUpload(ctx, in))
}

func (s *store) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	return s.answer("create bucket", *in.Bucket, "", s.Posix.CreateBucket(ctx, in, acl))
}

// answer makes sure that an error is one of S3: the server prints any other to
// standard error, and answers all of them alike.
func (s *store) answer(op, bucket, key string, err error) error {
	known, ok := errors.AsType[s3err.S3Error](err)
	switch {
	case err == nil:
		return nil
	case ok:
		return known
	case errors.Is(err, syscall.ENOSPC):
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
	case errors.Is(err, syscall.EDQUOT):
		return s3err.GetAPIError(s3err.ErrQuotaExceeded)
	}
	s.log.Error("embedded store", "op", op, "bucket", bucket, "key", key, "err", err)
	return s3err.GetAPIError(s3err.ErrInternalError)
}

// prune removes the folder at a file's key if it and all below it lead to no object: a
// write that did not come to its end has made it.
func (s *store) prune(bucket, key string) {
	path := filepath.Join(bucket, key)
	if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
		return
	}
	s.tree.Lock()
	defer s.tree.Unlock()
	var folders []string
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() || s.attributes.isMarker(name, "") {
			return fs.ErrExist // it leads to an object
		}
		folders = append(folders, name)
		return nil
	})
	for _, folder := range slices.Backward(folders) {
		if err == nil {
			err = os.Remove(folder) // refuses a folder that was filled meanwhile
		}
	}
}

func is(err error, code s3err.ErrorCode) bool {
	known, ok := errors.AsType[s3err.S3Error](err)
	return ok && known.BaseError().Code == s3err.GetAPIError(code).Code
}
