package vfs_test

import (
	"bytes"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// TestReadWhileEvicted: readers get their bytes although content is evicted under them
// all the time.
func TestReadWhileEvicted(t *testing.T) {
	const file, count = 64 << 10, 4
	bucket := bucketOf(t, memory.Options{})
	for i := range count {
		bucket.Set("v/"+string(rune('a'+i)), bytes.Repeat([]byte{byte('a' + i)}, file), objstore.Attributes{})
	}
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CacheSize = file })
	var readers sync.WaitGroup
	for i := range count {
		name := string(rune('a' + i))
		readers.Go(func() {
			for range 60 {
				got, err := v.read(name)
				if err != nil || string(got) != strings.Repeat(name, file) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
					return
				}
			}
		})
	}
	readers.Wait()
}

// TestReadMoreThanTheCache: a file that is larger than the cache is read, by several at
// once, and does not stay.
func TestReadMoreThanTheCache(t *testing.T) {
	const size = 12 << 20
	content := pattern(size)
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/big", content, objstore.Attributes{})
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CacheSize = 10_000 })
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			if got, err := v.read("big"); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	readers.Wait()
	for deadline := time.Now().Add(patience); v.State().CacheBytes > 10_000; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes stay", v.State().CacheBytes)
		}
	}
}

// TestReadBesideWhatStays: what cannot be evicted, because the bucket does not have it yet, may
// be more than the cache. Who reads other files gets their bytes all the same.
func TestReadBesideWhatStays(t *testing.T) {
	const size, unsent = 12 << 20, 64 << 20
	content := pattern(size)
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/big", content, objstore.Attributes{})
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CacheSize = 10_000 })
	fh, err := v.open("unsent", syscall.O_CREAT|syscall.O_WRONLY, 0o644)
	want(t, err)
	defer v.Release(fh)
	want(t, v.Fallocate(t.Context(), fh, 0, unsent, 0))
	big, err := v.open("big", syscall.O_RDONLY, 0)
	want(t, err)
	defer v.Release(big)
	for range 3 {
		got := make([]byte, size)
		if n, err := v.Read(t.Context(), big, 0, got); err != nil || !bytes.Equal(got[:n], content) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if v.State().CacheBytes < unsent {
		t.Error("it did not stay")
	}
}
