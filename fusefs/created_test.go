package fusefs_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// TestOperationsOnCreatedFiles: what programs do is the same with files that are passed from
// their creation on, but for how many blocks a punched file takes behind its end, which is
// then the disk's affair.
func TestOperationsOnCreatedFiles(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		if name == "fallocate" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			fs, _ := volumeIn(t, memory.New(memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.CreatedRoom = 1 })
			mounttest.Run(t, mounted(t, fs, fusefs.Options{}).Dir(), name)
		})
	}
}

// TestCreatedFiles: a file that is created is passed, and what the kernel wrote to it reaches
// the bucket.
func TestCreatedFiles(t *testing.T) {
	bucket := memory.New(memory.Options{})
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin, c.CreatedRoom = 1, 1 })
	counts := newCounter()
	s := mounted(t, fs, fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "write g")
	drained(t, fs)
	if opens := fs.State().Opens; opens.Passed != 1 || opens.Mediated != 0 || counts.get("write") != 0 {
		t.Errorf("opened: %+v, and %d writes came", opens, counts.get("write"))
	}
	if got := bucket.Snapshot()["v/g"].Data; !bytes.Equal(got, bytes.Repeat([]byte{'g'}, large)) {
		t.Errorf("the object has %d bytes, %.3q", len(got), got)
	}
}

// TestWrittenPast: a file that is likely to become large is written past the kernel's pages,
// where that is safe, and read from us.
func TestWrittenPast(t *testing.T) {
	fs, _ := volumeIn(t, memory.New(memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = 2 * large })
	counts := newCounter()
	s := mounted(t, fs, fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "write g")
	mounttest.Run(t, s.Dir(), "read g")
	if past := counts.get("read") > 0; past != fusefs.DropWaits(s) {
		t.Errorf("written past the pages: %v; the kernel waits for them: %v", past, !past)
	}
}
