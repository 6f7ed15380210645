package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

const (
	algorithmHeader = "X-Amz-Checksum-Algorithm"
	checksumHeader  = "X-Amz-Checksum-Crc32c"
	// emptyChecksum is the CRC32C of no bytes.
	emptyChecksum = "AAAAAA=="
)

// announcesChecksums reports whether uploads must name the checksums of their parts.
// AWS refuses a part's checksum that was not announced. MinIO checks it anyway, but
// copies no parts into an upload that announced it; versitygw knows the checksum of no
// part when the upload is completed.
func (b *Bucket) announcesChecksums() bool { return s3utils.IsAmazonEndpoint(*b.core.EndpointURL()) }

// CreateUpload begins a multipart upload.
func (b *Bucket) CreateUpload(ctx context.Context, key string, attrs objstore.Attributes) (string, error) {
	if err := checkKey(key); err != nil {
		return "", fail(ctx, objstore.OpCreateUpload, key, err)
	}
	opts, err := putOptions(attrs, objstore.Condition{})
	if err != nil {
		return "", fail(ctx, objstore.OpCreateUpload, key, err)
	}
	if b.announcesChecksums() {
		opts.UserMetadata[algorithmHeader] = "CRC32C"
	}
	id, err := b.core.NewMultipartUpload(ctx, b.name, key, opts)
	return id, fail(ctx, objstore.OpCreateUpload, key, err)
}

// UploadPart sends one part.
func (b *Bucket) UploadPart(ctx context.Context, key, id string, number int, body objstore.Body) (objstore.Part, error) {
	part, err := b.uploadPart(ctx, key, id, number, body)
	return part, fail(ctx, objstore.OpUploadPart, key, err)
}

func (b *Bucket) uploadPart(ctx context.Context, key, id string, number int, body objstore.Body) (objstore.Part, error) {
	if err := checkPart(key, id, number); err != nil {
		return objstore.Part{}, err
	}
	if err := checkSize(body.Size()); err != nil {
		return objstore.Part{}, err
	}
	if in, ok := objstore.InFile(body); ok {
		if part, err := b.sendFile(ctx, key, id, number, in); !isDamaged(err) {
			return part, err
		}
		// It was written to meanwhile: now it is summed as it is sent.
	}
	source, err := openSource(body)
	if err != nil {
		return objstore.Part{}, err
	}
	defer source.close()

	var reader io.Reader = source
	opts := minio.PutObjectPartOptions{DisableContentSha256: true}
	if body.Size() == 0 {
		// There is no trailer without a body.
		opts.CustomHeader = http.Header{checksumHeader: {emptyChecksum}}
	} else {
		opts.Trailer = http.Header{checksumHeader: {emptyChecksum}}
		reader = &summed{source: source, left: body.Size(), sum: crc32.New(crc32.MakeTable(crc32.Castagnoli)), trailer: opts.Trailer}
	}
	part, err := b.core.PutObjectPart(ctx, b.name, key, id, number, reader, body.Size(), opts)
	if err != nil {
		return objstore.Part{}, source.blame(ctx, err)
	}
	return b.part(number, part.ETag, body.Size(), part.ChecksumCRC32C), nil
}

// summed computes the checksum of what is read and has it in the trailer when the
// last byte was given, before the trailer is written.
type summed struct {
	source  io.Reader
	left    int64 // bytes
	sum     hash.Hash32
	trailer http.Header
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.source.Read(p)
	if n > 0 {
		_, _ = s.sum.Write(p[:n]) // a hash does not fail
		if s.left -= int64(n); s.left == 0 {
			s.trailer.Set(checksumHeader, base64.StdEncoding.EncodeToString(s.sum.Sum(nil)))
		}
	}
	return n, err
}

// CopyPart makes a part of an existing object. For a whole object it asks for its size
// first.
func (b *Bucket) CopyPart(ctx context.Context, key, id string, number int, src objstore.CopySource) (objstore.Part, error) {
	part, err := b.copyPart(ctx, key, id, number, src)
	return part, fail(ctx, objstore.OpCopyPart, key, err)
}

func (b *Bucket) copyPart(ctx context.Context, key, id string, number int, src objstore.CopySource) (objstore.Part, error) {
	if err := errors.Join(checkPart(key, id, number), checkKey(src.Key)); err != nil {
		return objstore.Part{}, err
	}
	size, length := src.Length, src.Length
	switch {
	case src.Offset < 0, length < 0, length == 0 && src.Offset != 0:
		return objstore.Part{}, fmt.Errorf("%w: %d bytes at %d", objstore.ErrInvalidRange, src.Length, src.Offset)
	case length == 0:
		// The answer does not tell the size. Without a range is also the only way to
		// copy an empty object.
		obj, err := b.Head(ctx, src.Key)
		if err != nil {
			return objstore.Part{}, err
		}
		if src.IfMatch == "" {
			src.IfMatch = obj.ETag
		}
		size, length = obj.Size, -1
	}
	header := map[string]string{}
	if src.IfMatch != "" {
		header["x-amz-copy-source-if-match"] = quote(src.IfMatch)
	}
	part, err := b.core.CopyObjectPart(ctx, b.name, src.Key, b.name, key, id, number, src.Offset, length, header)
	if err != nil {
		return objstore.Part{}, err
	}
	return b.part(number, part.ETag, size, part.ChecksumCRC32C), nil
}

func (b *Bucket) part(number int, etag string, size int64, checksum string) objstore.Part {
	p := objstore.Part{Number: number, ETag: unquote(etag), Size: size}
	if b.announcesChecksums() {
		p.Checksum = checksum
	}
	return p
}

// CompleteUpload joins the parts into the object.
func (b *Bucket) CompleteUpload(ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	obj, err := b.completeUpload(ctx, key, id, parts, cond)
	return obj, failWrite(ctx, objstore.OpCompleteUpload, key, cond, err)
}

func (b *Bucket) completeUpload(ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	if len(parts) == 0 {
		return objstore.Object{}, fmt.Errorf("%w: no parts", objstore.ErrInvalid)
	}
	if err := checkPart(key, id, 1); err != nil {
		return objstore.Object{}, err
	}
	opts, err := putOptions(objstore.Attributes{}, cond)
	if err != nil {
		return objstore.Object{}, err
	}
	size := int64(0)
	list := make([]minio.CompletePart, len(parts))
	for i, p := range parts {
		list[i] = minio.CompletePart{PartNumber: p.Number, ETag: p.ETag, ChecksumCRC32C: p.Checksum}
		size += p.Size
	}
	info, err := b.core.CompleteMultipartUpload(ctx, b.name, key, id, list, opts)
	if err != nil {
		return objstore.Object{}, err
	}
	return objstore.Object{Key: key, Size: size, ETag: unquote(info.ETag)}, nil
}

// AbortUpload discards an upload.
func (b *Bucket) AbortUpload(ctx context.Context, key, id string) error {
	if err := checkPart(key, id, 1); err != nil {
		return fail(ctx, objstore.OpAbortUpload, key, err)
	}
	err := fail(ctx, objstore.OpAbortUpload, key, b.core.AbortMultipartUpload(ctx, b.name, key, id))
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return err
}

// checkPart refuses what minio-go would refuse without an S3 code.
func checkPart(key, id string, number int) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if id == "" || number < 1 || number > objstore.MaxParts {
		return fmt.Errorf("%w: part %d of upload %q", objstore.ErrInvalid, number, id)
	}
	return nil
}
