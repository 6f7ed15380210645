package vfs_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

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
