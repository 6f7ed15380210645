package fusefs_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// several is more than a few of the largest READs, and no multiple of a page.
const several = 5<<20 + 1234

// stripes are content of which no two pages are the same.
func stripes(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i>>12*31 + i)
	}
	return data
}

// readPattern reads the file f from its beginning to its end and at odd places, changes a
// little and reads again.
func readPattern(dir string) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = must(err, f.Close()) }()
	want := stripes(several)
	for range 2 {
		got, err := io.ReadAll(io.NewSectionReader(f, 0, several+1))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%d bytes, or other ones", len(got))
		}
		if _, err := f.WriteAt([]byte("changed"), several/2); err != nil {
			return err
		}
		copy(want[several/2:], "changed")
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return err
		}
	}
	return nil
}

// TestLargeReadsAreSpliced: with the bytes that lie in the content file, and no others.
func TestLargeReadsAreSpliced(t *testing.T) {
	bucket := memory.New(memory.Options{})
	bucket.Set("v/f", stripes(several), objstore.Attributes{})
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = 0 })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read a pattern")
	if n := fusefs.PipesOf(s); n == 0 {
		t.Error("no reply was spliced")
	}
}
