package vfs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// onDisk are the content files of a volume: those of one inode, and those that several
// share.
func (v *volume) onDisk() (own, shared []string) {
	v.t.Helper()
	files, err := filepath.Glob(filepath.Join(v.dir, "data", "*", "*"))
	want(v.t, err)
	for _, f := range files {
		if filepath.Base(filepath.Dir(f)) == "small" {
			shared = append(shared, f)
		} else {
			own = append(own, f)
		}
	}
	return own, shared
}

// filled are n bytes that differ from place to place.
func filled(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 + i)
	}
	return b
}

// TestGrowing: a file that outgrows the place it has beside others keeps its bytes, while
// it is open, after its end, after a crash and in the bucket.
func TestGrowing(t *testing.T) {
	bucket, dir := bucketOf(t, memory.Options{}), t.TempDir()
	v := open(t, bucket, dir)
	body := filled(3 * cache.SmallMost)
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	for off := 0; off < len(body); off += 5000 {
		if off < cache.SmallMost-5000 {
			if own, _ := v.onDisk(); len(own) != 0 {
				t.Fatalf("%d bytes have a file of their own", off)
			}
		}
		_, err := v.Write(t.Context(), fh, int64(off), body[off:min(off+5000, len(body))])
		want(t, err)
		if got, err := v.readAll(fh); err != nil || !bytes.Equal(got, body[:min(off+5000, len(body))]) {
			t.Fatalf("after the write at %d: %d bytes, %v", off, len(got), err)
		}
	}
	want(t, v.write("g", 0, body[:cache.SmallMost], 0))
	want(t, v.write("h", 100, body, 0))
	if own, shared := v.onDisk(); len(own) != 2 || len(shared) != 1 {
		t.Errorf("on the disk are %v and %v", own, shared)
	}
	v.Release(fh)

	check := func() {
		t.Helper()
		for name, want := range map[string][]byte{"f": body, "g": body[:cache.SmallMost], "h": append(make([]byte, 100), body...)} {
			if got, err := v.read(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
	}
	check()
	v.close()
	v = open(t, bucket, dir)
	check()
	v.drain()
	v.close()
	v = open(t, bucket, t.TempDir())
	check()
	if own, shared := v.onDisk(); len(own) != 2 || len(shared) != 1 {
		t.Errorf("of what was fetched are %v and %v", own, shared)
	}
}

// TestSmallCopies: copies between small files, and within one that outgrows its place by
// them.
func TestSmallCopies(t *testing.T) {
	v := open(t, bucketOf(t, memory.Options{}), t.TempDir())
	body := filled(cache.SmallMost - 100)
	want(t, v.write("f", 0, body, 0))
	from, err := v.open("f", syscall.O_RDWR, 0)
	want(t, err)
	to, err := v.open("g", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	copied := func(c vfs.Copy) {
		t.Helper()
		if n, err := v.CopyRange(t.Context(), c); err != nil || int64(n) != c.N {
			t.Fatalf("copied %d bytes, %v", n, err)
		}
	}
	copied(vfs.Copy{From: from, To: to, N: int64(len(body))})
	if own, _ := v.onDisk(); len(own) != 0 {
		t.Errorf("the copy of a small file has a file of its own: %v", own)
	}
	copied(vfs.Copy{From: from, To: from, At: int64(len(body)), N: int64(len(body))})
	copied(vfs.Copy{From: from, Off: 10, To: to, At: cache.SmallMost, N: int64(len(body))})
	if got, err := v.readAll(from); err != nil || !bytes.Equal(got, append(bytes.Clone(body), body...)) {
		t.Errorf("copied within: %d bytes, %v", len(got), err)
	}
	expect := append(append(bytes.Clone(body), make([]byte, 100)...), append(body, body...)[10:][:len(body)]...)
	if got, err := v.readAll(to); err != nil || !bytes.Equal(got, expect) {
		t.Errorf("copied to: %d bytes, %v", len(got), err)
	}
	v.Release(from)
	v.Release(to)
}

// TestSmallLostWithThePower: a small file whose bytes did not reach the disk before the
// power went is not sent as zeros; those beside it are.
func TestSmallLostWithThePower(t *testing.T) {
	bucket, dir := bucketOf(t, memory.Options{}), t.TempDir()
	want(t, func() error {
		v := open(t, bucket, dir)
		defer v.close()
		want(t, v.write("lost", 0, []byte("the old one"), 0))
		v.drain()
		for _, name := range []string{"before", "lost", "behind"} {
			fh, err := v.open(name, syscall.O_WRONLY|syscall.O_CREAT, 0o644)
			want(t, err)
			_, err = v.Write(t.Context(), fh, 0, filled(8192))
			want(t, err)
		}
		return nil // open files are not sent
	}())
	// The content that was written first is the one of "lost".
	shared, err := filepath.Glob(filepath.Join(dir, "data", "small", "*"))
	want(t, err)
	if len(shared) != 1 {
		t.Fatalf("shared files: %v", shared)
	}
	f, err := os.OpenFile(shared[0], os.O_RDWR, 0)
	want(t, err)
	want(t, syscall.Fallocate(int(f.Fd()), 0x3, 4096, 4096)) // punches a hole
	want(t, f.Close())

	open(t, bucket, dir, func(c *vfs.Config) { c.BootID = "another" })
	for _, name := range []string{"before", "behind"} {
		for begun := time.Now(); !bytes.Equal(bucket.Snapshot()["v/"+name].Data, filled(8192)); time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > patience {
				t.Fatalf("%s is not in the bucket", name)
			}
		}
	}
	if got := bucket.Snapshot()["v/lost"].Data; string(got) != "the old one" {
		t.Errorf("the bucket has %.20q of what was lost", got)
	}
}
