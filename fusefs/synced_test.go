package fusefs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
)

// TestSyncedWrites: a write to a file that was opened with O_SYNC or O_DSYNC returns when the
// bucket has it, also while the kernel reads and writes the file itself for others.
func TestSyncedWrites(t *testing.T) {
	bucket, counts := filled(t), newCounter()
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = 1 })
	s := mounted(t, fs, fusefs.Options{Observer: counts})
	released := func(n int) func() bool { return func() bool { return counts.get("release") >= n } }
	mounttest.Run(t, s.Dir(), "read f")
	eventually(t, "release", released(1))
	wait := mounttest.Start(t, s.Dir(), "write synced", 0)
	has := func(text string) {
		said(t, s.Dir(), text)
		if !bytesAt(bucket, 0, text)() {
			t.Errorf("%s: the write returned, and the object begins with %q", text, bucket.Snapshot()["v/f"].Data[:8])
		}
		say(t, s.Dir(), text+"-seen")
	}
	has("alone")
	eventually(t, "release", released(2)) // until then the file is open as it was
	say(t, s.Dir(), "released")
	has("beside")
	wait()
	if fs.State().Opens.Passed != 2 {
		t.Errorf("opened: %+v", fs.State().Opens)
	}
}

// writeSynced writes once to a file that nobody else has open, and once beside readers.
func writeSynced(dir string) error {
	path := filepath.Join(dir, "f")
	write := func(flag int, text string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|flag, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(text), 0)
		return must(err, step(dir, text, text+"-seen"), f.Close())
	}
	if err := write(unix.O_SYNC, "alone"); err != nil {
		return err
	}
	if err := step(dir, "closed", "released"); err != nil {
		return err
	}
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := write(unix.O_DSYNC, "beside"); err != nil {
		return err
	}
	buf := make([]byte, 6)
	if _, err := r.ReadAt(buf, 0); err != nil || string(buf) != "beside" {
		return fmt.Errorf("a reader sees %q (%w)", buf, err)
	}
	return r.Close()
}
