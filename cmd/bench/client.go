package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// store is where the bucket is.
type store struct {
	Endpoint  string // http://host:port
	Bucket    string
	AccessKey string
	SecretKey string
}

// The raw client's requests at once.
const (
	smallAtOnce = 64
	partsAtOnce = 8
)

// client is the store as a program has it that nothing stands before: the most that can
// be had of the store.
type client struct {
	core   *minio.Core
	bucket string
	sent   *atomic.Int64 // requests
}

func (s store) client() (client, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return client{}, err
	}
	c := client{bucket: s.Bucket, sent: new(atomic.Int64)}
	c.core, err = minio.NewCore(u.Host, &minio.Options{
		Creds:           credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Region:          "us-east-1",
		BucketLookup:    minio.BucketLookupPath,
		TrailingHeaders: true,
		MaxRetries:      1,
		Transport: counted{c.sent, &http.Transport{
			MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true,
			ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
		}},
	})
	return c, err
}

// counted counts requests.
type counted struct {
	n *atomic.Int64
	http.RoundTripper
}

// RoundTrip sends a request.
func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// withClient makes a work of what a client does below a prefix.
func withClient(do func(client, context.Context, job) error) work {
	return withCounts(func(c client, ctx context.Context, j job, _ *outcome) error { return do(c, ctx, j) })
}

// withCounts is withClient for what counts its operations.
func withCounts(do func(client, context.Context, job, *outcome) error) work {
	return func(j job, out *outcome) error {
		c, err := j.Store.client()
		if err != nil {
			return err
		}
		return do(c, context.Background(), j, out)
	}
}

// attributes are what a volume notes with its objects.
func attributes(mode string) map[string]string {
	now := strconv.FormatInt(time.Now().Unix(), 10) + ".000000001"
	return map[string]string{"mode": mode, "uid": "0", "gid": "0", "mtime": now, "ctime": now}
}

const (
	fileMode = "33188" // S_IFREG | 0644
	dirMode  = "16877" // S_IFDIR | 0755
)

func (c client) put(ctx context.Context, key string, data []byte, mode string) error {
	_, err := c.core.PutObject(ctx, c.bucket, key, bytes.NewReader(data), int64(len(data)), "", "", minio.PutObjectOptions{
		UserMetadata: attributes(mode), Checksum: minio.ChecksumCRC32C, DisableContentSha256: true,
	})
	return err
}

// putMany writes small objects and the marker of their directory.
func (c client) putMany(ctx context.Context, dir string, n, threads int) error {
	return parallel(n+1, threads, func(i int) error {
		if i == n {
			return c.put(ctx, dir, nil, dirMode)
		}
		return c.put(ctx, dir+smallName(i), page(i), fileMode)
	})
}

const checksumHeader = "X-Amz-Checksum-Crc32c"

// putParts writes a large object. part says what each part is: a buffer of parts to send,
// or nil for a range of the object as it is, which the store copies.
func (c client) putParts(ctx context.Context, key string, size int64, part func(offset int64) *[]byte) error {
	id, err := c.core.NewMultipartUpload(ctx, c.bucket, key, minio.PutObjectOptions{UserMetadata: attributes(fileMode)})
	if err != nil {
		return err
	}
	done := make([]minio.CompletePart, (size+partSize-1)/partSize)
	err = parallel(len(done), partsAtOnce, func(i int) error {
		offset := int64(i) * partSize
		buffer := part(offset)
		if buffer == nil {
			copied, err := c.core.CopyObjectPart(ctx, c.bucket, key, c.bucket, key, id, i+1, offset, min(partSize, size-offset), nil)
			done[i] = minio.CompletePart{PartNumber: i + 1, ETag: copied.ETag}
			return err
		}
		defer parts.Put(buffer)
		data := *buffer
		sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
		sent, err := c.core.PutObjectPart(ctx, c.bucket, key, id, i+1, bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{
			DisableContentSha256: true,
			CustomHeader: http.Header{
				checksumHeader: {base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})},
			},
		})
		done[i] = minio.CompletePart{PartNumber: i + 1, ETag: sent.ETag}
		return err
	})
	if err != nil {
		return errors.Join(err, c.core.AbortMultipartUpload(ctx, c.bucket, key, id))
	}
	_, err = c.core.CompleteMultipartUpload(ctx, c.bucket, key, id, done, minio.PutObjectOptions{})
	return err
}

// parts are buffers with the bytes of a part, but for its stamps: making those bytes anew
// for each would count as work of the client.
var parts = sync.Pool{New: func() any {
	data := bytes.Repeat(noise(), partSize/chunkSize)
	return &data
}}

// largePart is a part of a large file, in a buffer that goes back to parts.
func largePart(offset, size int64) *[]byte {
	data := parts.Get().(*[]byte)
	*data = (*data)[:min(partSize, size-offset)]
	stamp(*data, offset)
	return data
}

func (c client) writeLarge(ctx context.Context, j job) error {
	return c.putParts(ctx, j.Dir+"large", j.Sizes.Large, func(offset int64) *[]byte { return largePart(offset, j.Sizes.Large) })
}

func (c client) writeChanged(ctx context.Context, j job) error {
	return c.putParts(ctx, j.Dir+"large", j.Sizes.Changed, func(offset int64) *[]byte { return largePart(offset, j.Sizes.Changed) })
}

// changeAll sends all parts: random writes spare none.
func (c client) changeAll(ctx context.Context, j job) error { return c.writeChanged(ctx, j) }

// changePart sends the first part and has the store copy the others.
func (c client) changePart(ctx context.Context, j job) error {
	return c.putParts(ctx, j.Dir+"large", j.Sizes.Changed, func(offset int64) *[]byte {
		if offset > 0 {
			return nil
		}
		return largePart(0, j.Sizes.Changed)
	})
}

// get reads a range of an object; length 0 is all.
func (c client) get(ctx context.Context, key string, offset, length int64, into io.Writer) error {
	var opts minio.GetObjectOptions
	if length > 0 {
		if err := opts.SetRange(offset, offset+length-1); err != nil {
			return err
		}
	}
	body, _, _, err := c.core.GetObject(ctx, c.bucket, key, opts)
	if err != nil {
		return err
	}
	_, err = io.Copy(into, body)
	return errors.Join(err, body.Close())
}

// stamps checks the pages of a large file that is written to it in order.
type stamps struct {
	page   []byte
	offset int64
}

func (s *stamps) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(pageSize-len(s.page), len(rest))
		s.page, rest = append(s.page, rest[:n]...), rest[n:]
		if len(s.page) == pageSize {
			if err := checkStamps(s.page, s.offset); err != nil {
				return 0, err
			}
			s.page, s.offset = s.page[:0], s.offset+pageSize
		}
	}
	return len(data), nil
}

func (c client) readLarge(ctx context.Context, j job) error {
	return parallel(int((j.Sizes.Large+partSize-1)/partSize), partsAtOnce, func(i int) error {
		offset := int64(i) * partSize
		return c.get(ctx, j.Dir+"large", offset, min(partSize, j.Sizes.Large-offset), io.Discard)
	})
}

func (c client) readRandom(ctx context.Context, j job, out *outcome) error {
	out.Ops = j.Threads * j.Sizes.Reads
	return parallel(out.Ops, j.Threads, func(int) error {
		offset := rand.Int64N(j.Sizes.Large/pageSize) * pageSize
		return c.get(ctx, j.Dir+"large", offset, pageSize, &stamps{offset: offset})
	})
}

func (c client) createSmall(ctx context.Context, j job) error {
	return c.putMany(ctx, j.Dir+"small/", j.Sizes.Small, smallAtOnce)
}

func (c client) readSmall(ctx context.Context, j job) error {
	return parallel(j.Sizes.Small, j.Threads, func(i int) error {
		var data bytes.Buffer
		err := c.get(ctx, j.Dir+"small/"+smallName(i), 0, 0, &data)
		if err == nil && !bytes.Equal(data.Bytes(), page(i)) {
			err = fmt.Errorf("%s has other content, %d bytes", smallName(i), data.Len())
		}
		return err
	})
}

func (c client) createOld(ctx context.Context, j job) error {
	return c.putMany(ctx, j.Dir+"old/", j.Sizes.Renamed, smallAtOnce)
}

// rename copies in parallel and deletes in batches.
func (c client) rename(ctx context.Context, j job) error {
	objects, err := c.under(ctx, j.Dir+"old/", "")
	if err != nil {
		return err
	}
	if err := parallel(len(objects), smallAtOnce, func(i int) error {
		key := objects[i].Key
		_, err := c.core.CopyObject(ctx, c.bucket, key, c.bucket, j.Dir+"new/"+strings.TrimPrefix(key, j.Dir+"old/"), nil, minio.CopySrcOptions{}, minio.PutObjectOptions{})
		return err
	}); err != nil {
		return err
	}
	return c.remove(ctx, objects)
}

// upload puts a local directory below tar/.
func (c client) upload(ctx context.Context, j job) error {
	m, err := readManifest(j.Local)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(m))
	return parallel(len(names), smallAtOnce, func(i int) error {
		key := j.Dir + "tar/" + names[i]
		if strings.HasSuffix(key, "/") {
			return c.put(ctx, key, nil, dirMode)
		}
		data, err := os.ReadFile(filepath.Join(j.Local, names[i]))
		if err != nil {
			return err
		}
		return c.put(ctx, key, data, fileMode)
	})
}

func (c client) removeTar(ctx context.Context, j job) error { return c.clear(ctx, j.Dir+"tar/") }

func (c client) removeOld(ctx context.Context, j job) error { return c.clear(ctx, j.Dir+"old/") }

// clear removes all objects with a prefix.
func (c client) clear(ctx context.Context, prefix string) error {
	objects, err := c.under(ctx, prefix, "")
	if err != nil {
		return err
	}
	return c.remove(ctx, objects)
}

// remove deletes in batches of a thousand.
func (c client) remove(ctx context.Context, objects []minio.ObjectInfo) error {
	queue := make(chan minio.ObjectInfo)
	go func() {
		defer close(queue)
		for _, o := range objects {
			queue <- minio.ObjectInfo{Key: o.Key}
		}
	}()
	var errs []error
	for failed := range c.core.RemoveObjects(ctx, c.bucket, queue, minio.RemoveObjectsOptions{}) {
		errs = append(errs, fmt.Errorf("%s: %w", failed.ObjectName, failed.Err))
	}
	return errors.Join(errs...)
}

func (c client) createTree(ctx context.Context, j job) error {
	if err := c.put(ctx, j.Dir+"tree/", nil, dirMode); err != nil {
		return err
	}
	return parallel(j.Sizes.Dirs, 8, func(i int) error {
		return c.putMany(ctx, j.Dir+"tree/"+dirName(i)+"/", j.Sizes.PerDir, 8)
	})
}

func (c client) createFlat(ctx context.Context, j job) error {
	return c.putMany(ctx, j.Dir+"flat/", j.Sizes.Flat, smallAtOnce)
}

func (c client) list(ctx context.Context, j job) error {
	_, err := c.under(ctx, j.Dir, "")
	return err
}

// listAll lists with the metadata of each object, directories of one level at once.
func (c client) listAll(ctx context.Context, j job) error {
	for level := []string{j.Dir}; len(level) > 0; {
		below := make([][]string, len(level))
		if err := parallel(len(level), j.Threads, func(i int) (err error) {
			below[i], err = c.listOne(ctx, level[i])
			return err
		}); err != nil {
			return err
		}
		level = slices.Concat(below...)
	}
	return nil
}

// listOne lists a directory with the metadata of its files and returns its directories.
func (c client) listOne(ctx context.Context, dir string) (dirs []string, err error) {
	for o := range c.core.Client.ListObjects(ctx, c.bucket, minio.ListObjectsOptions{Prefix: dir, WithMetadata: true}) {
		switch {
		case o.Err != nil:
			return nil, o.Err
		case o.Key != dir && strings.HasSuffix(o.Key, "/"):
			dirs = append(dirs, o.Key)
		case len(o.UserMetadata) == 0:
			return nil, fmt.Errorf("%s is listed without metadata", o.Key)
		}
	}
	return dirs, nil
}

// sqlite writes what the database makes safe in each of its transactions: the journal, the
// journal's head, the database. Each is sent when the one before is there, over what it knows.
func (c client) sqlite(ctx context.Context, j job) error {
	etags := map[string]string{}
	put := func(name string, size int) error {
		opts := minio.PutObjectOptions{UserMetadata: attributes(fileMode), Checksum: minio.ChecksumCRC32C, DisableContentSha256: true}
		if etag, known := etags[name]; known {
			opts.SetMatchETag(etag)
		} else {
			opts.SetMatchETagExcept("*")
		}
		info, err := c.core.Client.PutObject(ctx, c.bucket, j.Dir+name, bytes.NewReader(noise()[:size]), int64(size), opts)
		etags[name] = info.ETag
		return err
	}
	for i := range j.Sizes.Commits {
		rows := i * 110 // bytes
		for _, step := range []struct {
			name string
			size int
		}{{"database-journal", 3 * pageSize}, {"database-journal", 3 * pageSize}, {"database", (2 + rows/pageSize) * pageSize}} {
			if err := put(step.name, step.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// under lists the objects with a prefix, from those that follow a key.
func (c client) under(ctx context.Context, prefix, after string) ([]minio.ObjectInfo, error) {
	var objects []minio.ObjectInfo
	for o := range c.core.Client.ListObjects(ctx, c.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, StartAfter: after}) {
		if o.Err != nil {
			return nil, o.Err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// manifest lists what is below a prefix that ends in a slash.
func (c client) manifest(ctx context.Context, prefix, after string) (manifest, error) {
	objects, err := c.under(ctx, prefix, after)
	m := manifest{}
	for _, o := range objects {
		if name := strings.TrimPrefix(o.Key, prefix); name != "" {
			m[name] = o.Size
		}
	}
	return m, err
}
