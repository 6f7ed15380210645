package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// smallDisk mounts a disk of a size that mount(8) understands.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, "mode=0700,size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// mebibyte is a mebibyte that no other one equals.
func mebibyte(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%8d", i), 1<<17) }

// TestWriteMoreThanTheDisk: a file that is larger than the local disk is written in one go,
// then changed in places, and read by another host. What it was is not sent again.
func TestWriteMoreThanTheDisk(t *testing.T) {
	const count = 150 // MiB
	bucket := bucketOf(t, memory.Options{MinPartSize: 1 << 20 / 3})
	small := func(c *vfs.Config) { c.PartSize, c.CacheSize, c.Reserve = 1<<20, 16<<20, 32<<20 }
	v := open(t, bucket, smallDisk(t, "80m"), small)
	t.Cleanup(v.close) // before the disk is unmounted
	other, err := v.open("other", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	for i := range 20 {
		_, err := v.Write(t.Context(), other, int64(i)<<20, mebibyte(1000+i))
		want(t, err)
	}
	v.Release(other)
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	for i := range count {
		if _, err := v.Write(t.Context(), fh, int64(i)<<20, mebibyte(i)); err != nil {
			t.Fatalf("after %d MiB: %v", i, err)
		}
	}
	buf := make([]byte, 1<<20)
	for _, i := range []int{3, 77, count - 1} {
		if _, err := v.Read(t.Context(), fh, int64(i)<<20, buf); err != nil || !bytes.Equal(buf, mebibyte(i)) {
			t.Errorf("MiB %d reads as %.16q, %v", i, buf, err)
		}
		_, err := v.Write(t.Context(), fh, int64(i)<<20, mebibyte(2000+i))
		want(t, err)
	}
	v.Release(fh)
	v.drain()
	if sent := bucket.Count(objstore.OpUploadPart); sent > 2*count {
		t.Errorf("%d parts were sent", sent)
	}
	if state := v.State(); state.Conflicts != 0 || state.LastError != nil {
		t.Errorf("%d conflicts, error %v", state.Conflicts, state.LastError)
	}
	v.close()
	v = open(t, bucket, t.TempDir())
	got, err := v.read("f")
	want(t, err)
	for i := range count {
		expected := mebibyte(i)
		if i == 3 || i == 77 || i == count-1 {
			expected = mebibyte(2000 + i)
		}
		if len(got) != count<<20 || !bytes.Equal(got[i<<20:(i+1)<<20], expected) {
			t.Fatalf("of %d bytes MiB %d is another", len(got), i)
		}
	}
}

// TestFullDiskWithoutAStore: what cannot go to the bucket stays, and the writer is told.
func TestFullDiskWithoutAStore(t *testing.T) {
	bucket := bucketOf(t, memory.Options{MinPartSize: 1 << 20 / 3})
	v := open(t, bucket, smallDisk(t, "64m"), func(c *vfs.Config) { c.PartSize, c.Reserve = 1<<20, 32<<20 })
	t.Cleanup(v.close)
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o644)
	want(t, err)
	restore := bucket.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrAccessDenied})
	written := 0
	for err == nil && written < 100 {
		if _, err = v.Write(t.Context(), fh, int64(written)<<20, mebibyte(written)); err == nil {
			written++
		}
	}
	if !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatalf("after %d MiB: %v, want %v", written, err, vfs.ErrNoSpace)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Write(ended, fh, int64(written)<<20, mebibyte(written)); !errors.Is(err, vfs.ErrInterrupted) && !errors.Is(err, vfs.ErrNoSpace) {
		t.Errorf("an interrupted writer gets %v", err)
	}
	restore()
	if _, err := v.Write(t.Context(), fh, int64(written)<<20, mebibyte(written)); err != nil {
		t.Errorf("once the store answers: %v", err)
	}
	v.Release(fh)
	v.drain()
	got, err := v.read("f")
	want(t, err)
	for i := range written + 1 {
		if !bytes.Equal(got[i<<20:(i+1)<<20], mebibyte(i)) {
			t.Fatalf("MiB %d is another", i)
		}
	}
}
