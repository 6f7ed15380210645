package vfs_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// landedLarge is a volume with a file that is large enough for sums and has landed.
func landedLarge(t *testing.T) (v *volume, k *kernel, content []byte) {
	t.Helper()
	v, k = passing(t, bucketOf(t, memory.Options{}), func(c *vfs.Config) { c.CreatedRoom = 0 })
	content = make([]byte, 16<<20+5)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	want(t, v.write("f", 0, content, 0))
	v.drain()
	return v, k, content
}

// checkSums waits until the sums of what an inode's object has are known, and compares them.
func (v *volume) checkSums(ino vfs.Ino, content []byte) {
	v.t.Helper()
	n, err := v.index.Inode(ino)
	want(v.t, err)
	var s index.Sums
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if s, err = v.index.Sums(ino); err == nil && s.Gen == n.PlacedGen {
			break
		}
		if time.Now().After(end) {
			v.t.Fatalf("sums of generation %d, want %d: %v", s.Gen, n.PlacedGen, err)
		}
	}
	sums, err := cache.Sums(bytes.NewReader(content), int64(len(content)))
	want(v.t, err)
	var all []byte
	for _, sum := range sums {
		all = append(all, sum[:]...)
	}
	if s.Size != int64(len(content)) || !bytes.Equal(s.Sums, all) {
		v.t.Errorf("sums of %d bytes, want of %d; they are the content's: %v", s.Size, len(content), bytes.Equal(s.Sums, all))
	}
}

// TestSumsBehindLanding: of a large file that has landed the sums are known before anybody
// opens it for writing.
func TestSumsBehindLanding(t *testing.T) {
	v, _, content := landedLarge(t)
	at, err := v.stat("f")
	want(t, err)
	v.checkSums(at.Ino, content)
}

// TestSumsThatComeLate: what is summed after it was changed, or may have been behind our back,
// does not pass for what the object has.
func TestSumsThatComeLate(t *testing.T) {
	v, k, content := landedLarge(t)
	at, err := v.stat("f")
	want(t, err)
	v.checkSums(at.Ino, content)
	n, err := v.index.Inode(at.Ino)
	want(t, err)
	c, err := v.index.Content(at.Ino)
	want(t, err)

	fh, err := v.open("f", syscall.O_RDWR, 0)
	want(t, err)
	_, err = k.files[k.last].WriteAt([]byte("changed"), 0)
	want(t, err)
	want(t, v.SumLanded(n, c))
	v.checkSums(at.Ino, content)

	copy(content, "changed")
	v.Release(fh)
	v.drain()
	v.checkSums(at.Ino, content)
	want(t, v.SumLanded(n, c))
	v.checkSums(at.Ino, content)
}
