package fusefs_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// volume returns an empty filesystem on a bucket in memory. What is mounted on it has to
// be unmounted first: cleanups that are registered later do that.
func volume(t *testing.T) *vfs.FS {
	t.Helper()
	return volumeOn(t, memory.New(memory.Options{}))
}

func volumeOn(t *testing.T, bucket objstore.Bucket) *vfs.FS {
	t.Helper()
	dir := t.TempDir()
	lay, err := layout.New("v/")
	if err != nil {
		t.Fatal(err)
	}
	x, err := index.Open(filepath.Join(dir, "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := cache.Open(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	fs, err := vfs.New(t.Context(), vfs.Config{
		Index: x, Cache: c, Bucket: bucket, Layout: lay, Log: slog.New(slog.DiscardHandler),
		Defaults: layout.Defaults{FileMode: 0o644, DirMode: 0o755},
		TTL:      time.Hour, CacheSize: 1 << 30, Host: "here", BootID: "boot",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fs.Close)
	return fs
}

// blockedFile is a name in the filesystem that blocked returns. Reading it waits for a
// bucket that does not answer.
const blockedFile = "blocked"

func blocked(t *testing.T) *vfs.FS {
	t.Helper()
	bucket := memory.New(memory.Options{})
	// Larger than what is fetched when it is opened.
	body := objstore.Bytes(strings.Repeat("-", 16<<20))
	if _, err := bucket.Put(t.Context(), "v/"+blockedFile, body, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return volumeOn(t, silent{bucket})
}

// silent is a bucket that never answers a Get.
type silent struct{ objstore.Bucket }

func (silent) Get(ctx context.Context, _ string, _ objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	<-ctx.Done()
	return nil, objstore.Object{}, ctx.Err()
}

// sleepy is a bucket that takes its time for a listing.
type sleepy struct {
	objstore.Bucket
	pause time.Duration
}

func (s sleepy) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
		return objstore.Page{}, ctx.Err()
	}
	return s.Bucket.List(ctx, opts)
}
