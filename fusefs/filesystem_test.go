package fusefs_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// passthroughMin is from which size on, in bytes, the volumes of these tests pass files to
// the kernel: all that are not empty, so that every case meets passthrough, unless
// OBJVOL_TEST_PASSTHROUGH_MIN has another size.
func passthroughMin() int64 {
	if n, err := strconv.ParseInt(os.Getenv("OBJVOL_TEST_PASSTHROUGH_MIN"), 10, 64); err == nil {
		return n
	}
	return 1
}

// volume returns an empty filesystem on a bucket in memory. What is mounted on it has to
// be unmounted first: cleanups that are registered later do that.
func volume(t *testing.T) *vfs.FS {
	t.Helper()
	return volumeOn(t, memory.New(memory.Options{}))
}

func volumeOn(t *testing.T, bucket objstore.Bucket) *vfs.FS {
	t.Helper()
	fs, _ := volumeIn(t, bucket, t.TempDir())
	return fs
}

// volumeIn is volumeOn with the local state in dir. The volume can be closed before the
// test ends.
func volumeIn(t *testing.T, bucket objstore.Bucket, dir string, change ...func(*vfs.Config)) (*vfs.FS, func()) {
	t.Helper()
	fs, x, err := openVolume(t.Context(), bucket, dir, change...)
	if err != nil {
		t.Fatal(err)
	}
	closed := sync.OnceFunc(func() {
		fs.Close()
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closed)
	return fs, closed
}

// openVolume is volumeIn for who has no test.
func openVolume(ctx context.Context, bucket objstore.Bucket, dir string, change ...func(*vfs.Config)) (*vfs.FS, *index.Index, error) {
	lay, err := layout.New("v/")
	if err != nil {
		return nil, nil, err
	}
	x, err := index.Open(filepath.Join(dir, "index"), index.Options{})
	if err != nil {
		return nil, nil, err
	}
	c, err := cache.Open(filepath.Join(dir, "data"))
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	cfg := vfs.Config{
		Index: x, Cache: c, Bucket: bucket, Layout: lay, Log: slog.New(slog.DiscardHandler),
		Defaults: layout.Defaults{FileMode: 0o644, DirMode: 0o755},
		TTL:      time.Hour, CacheSize: 1 << 30, Host: "here", BootID: "boot",
		PassthroughMin: passthroughMin(),
	}
	for _, fn := range change {
		fn(&cfg)
	}
	fs, err := vfs.New(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	return fs, x, nil
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
