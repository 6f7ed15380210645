package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/objstoretest"
	"objvol/objstore/s3"
)

// benchName is the bucket that the comparison uses.
const benchName = "comparison"

// benchBucket is the store as a client has it, with nothing in between.
type benchBucket struct{ objstore.Bucket }

func openBench(t *testing.T, s objstoretest.Server) benchBucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Config{
		Endpoint: s.Endpoint, Region: "us-east-1", Bucket: benchName, Create: true, PathStyle: "true",
		AccessKey: s.AccessKey, SecretKey: s3.Secret(s.SecretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return benchBucket{b}
}

// keys lists all objects below a prefix, without directories.
func (b benchBucket) keys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	for token := ""; ; {
		page, err := b.List(ctx, objstore.ListOptions{Prefix: prefix, Token: token})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if !strings.HasSuffix(o.Key, "/") {
				keys = append(keys, o.Key)
			}
		}
		if token = page.Next; token == "" {
			return keys, nil
		}
	}
}

func (b benchBucket) count(t *testing.T, prefix string) int {
	t.Helper()
	keys, err := b.keys(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return len(keys)
}

// compareClient does with objects what the others do with files, as far as a client can.
func compareClient(t *testing.T, results *comparison, b benchBucket, prefix string) {
	t.Helper()
	ctx := t.Context()
	timed := func(do func() error) time.Duration {
		begun := time.Now()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		return time.Since(begun)
	}
	changing := map[string]func() error{
		"write large":    func() error { return b.putLarge(ctx, prefix+"large/file") },
		"create with 1":  func() error { return b.putSmall(ctx, prefix+"one/", smallFiles, 1) },
		"create with 8":  func() error { return b.putSmall(ctx, prefix+"eight/", smallFiles, 8) },
		"remove":         func() error { return b.remove(ctx, prefix+"eight/") },
		"prepare change": func() error { return b.change(ctx, prefix+"changed/file", 1) },
		"change":         func() error { return b.change(ctx, prefix+"changed/file", randomWrites) },
		"prepare tree": func() error {
			return parallel(treeDirs, 8, func(i int) error {
				return b.putSmall(ctx, prefix+"tree/"+strconv.Itoa(i)+"/", treeFiles/treeDirs, 1)
			})
		},
	}
	for _, w := range writes {
		if do := changing[w.name]; do != nil {
			took := timed(do)
			results.addWrite(w, sideClient, took, took)
		}
	}
	looking := map[string]func() error{
		"walk":        func() error { return b.walk(ctx, prefix+"tree/") },
		"read small":  func() error { return b.readSmall(ctx, prefix+"one/") },
		"read large":  func() error { return b.read(ctx, prefix+"large/file", objstore.GetOptions{}) },
		"read random": func() error { return b.readRandom(ctx, prefix+"large/file") },
	}
	for _, r := range reads {
		if do := looking[r.name]; do != nil {
			results.add(r.row, sideClient, timed(do))
		}
	}
}

// putLarge writes an object in parts of 16 MiB, four at a time.
func (b benchBucket) putLarge(ctx context.Context, key string) error {
	const size, threads = 16 << 20, 4
	body := objstore.Bytes(content(size, 0))
	id, err := b.CreateUpload(ctx, key, objstore.Attributes{})
	if err != nil {
		return err
	}
	parts := make([]objstore.Part, largeSize/size)
	if err := parallel(len(parts), threads, func(i int) (err error) {
		parts[i], err = b.UploadPart(ctx, key, id, i+1, body)
		return err
	}); err != nil {
		return errors.Join(err, b.AbortUpload(ctx, key, id))
	}
	_, err = b.CompleteUpload(ctx, key, id, parts, objstore.Condition{})
	return err
}

func (b benchBucket) putSmall(ctx context.Context, prefix string, objects, threads int) error {
	return parallel(objects, threads, func(i int) error {
		_, err := b.Put(ctx, prefix+smallName(i), objstore.Bytes(content(smallSize, uint64(i))), objstore.PutOptions{})
		return err
	})
}

func (b benchBucket) remove(ctx context.Context, prefix string) error {
	keys, err := b.keys(ctx, prefix)
	if err != nil {
		return err
	}
	return parallel(len(keys), 8, func(i int) error { return b.Delete(ctx, keys[i], objstore.Condition{}) })
}

// change writes a whole object for each small change: S3 has no other way.
func (b benchBucket) change(ctx context.Context, key string, times int) error {
	data := content(changedSize, 0)
	for i := range times {
		copy(data[rand.IntN(changedSize/smallSize)*smallSize:], content(smallSize, uint64(i)))
		if _, err := b.Put(ctx, key, objstore.Bytes(data), objstore.PutOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (b benchBucket) walk(ctx context.Context, prefix string) error {
	keys, err := b.keys(ctx, prefix)
	if err == nil && len(keys) != treeFiles {
		err = fmt.Errorf("listed %d objects, want %d", len(keys), treeFiles)
	}
	return err
}

func (b benchBucket) read(ctx context.Context, key string, opts objstore.GetOptions) error {
	body, _, err := b.Get(ctx, key, opts)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

func (b benchBucket) readSmall(ctx context.Context, prefix string) error {
	for i := range smallFiles {
		if err := b.read(ctx, prefix+smallName(i), objstore.GetOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (b benchBucket) readRandom(ctx context.Context, key string) error {
	for range randomReads {
		if err := b.read(ctx, key, objstore.GetOptions{Offset: rand.Int64N(largeSize/smallSize) * smallSize, Length: smallSize}); err != nil {
			return err
		}
	}
	return nil
}

// peakRSS is the most memory that a process had, in bytes.
func peakRSS(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	if !found {
		t.Fatalf("no VmHWM in\n%s", status)
	}
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
