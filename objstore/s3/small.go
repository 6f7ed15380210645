package s3

import (
	"context"
	"encoding/base64"
	"hash/crc32"
	"io"
	"net/http"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// smallBody is up to which size, in bytes, a body is read before its request begins.
const smallBody = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putSmall writes an object whose body is read first. It and its checksum are then sent with
// the headers, in one write, where a trailer needs a body in chunks and a second one: that
// is less work for both sides, and most of what a small object costs. A body that cannot be
// read costs no request.
func (b *Bucket) putSmall(ctx context.Context, key string, body objstore.Body, opts minio.PutObjectOptions) (minio.UploadInfo, error) {
	data, err := readSmall(ctx, body)
	if err != nil {
		return minio.UploadInfo{}, err
	}
	header := opts.Header()
	header.Set(checksumHeader, checksumOf(crc32.Checksum(data, castagnoli)))
	resp, err := b.send(ctx, request{method: http.MethodPut, key: key, signed: header, body: data})
	if err != nil {
		return minio.UploadInfo{}, err
	}
	_ = resp.Body.Close() // it is empty
	return minio.UploadInfo{ETag: resp.Header.Get("ETag")}, nil
}

// readSmall reads a body, which must have exactly its announced size. The transport may read
// what it returns for longer than the request takes.
func readSmall(ctx context.Context, body objstore.Body) ([]byte, error) {
	source, err := openSource(body)
	if err != nil {
		return nil, err
	}
	defer source.close()
	data := make([]byte, body.Size())
	_, err = io.ReadFull(source, data)
	return data, source.blame(ctx, err)
}

// checksumOf is a CRC32C as a header has it.
func checksumOf(sum uint32) string {
	return base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
