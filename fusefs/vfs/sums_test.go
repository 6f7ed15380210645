package vfs_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// TestSumsBehindLanding: of a large file that has landed the sums are known before anybody
// opens it for writing.
func TestSumsBehindLanding(t *testing.T) {
	v, _ := passing(t, bucketOf(t, memory.Options{}), func(c *vfs.Config) { c.CreatedRoom = 0 })
	content := make([]byte, 16<<20+5)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	want(t, v.write("f", 0, content, 0))
	v.drain()
	at, err := v.stat("f")
	want(t, err)
	n, err := v.index.Inode(at.Ino)
	want(t, err)
	var s index.Sums
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if s, err = v.index.Sums(at.Ino); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no sums:", err)
		}
	}
	sums, err := cache.Sums(bytes.NewReader(content), int64(len(content)))
	want(t, err)
	var all []byte
	for _, sum := range sums {
		all = append(all, sum[:]...)
	}
	if s.Gen != n.PlacedGen || s.Size != int64(len(content)) || !bytes.Equal(s.Sums, all) {
		t.Errorf("sums of generation %d and %d bytes, want %d and %d; equal: %v", s.Gen, s.Size, n.PlacedGen, len(content), bytes.Equal(s.Sums, all))
	}
}
