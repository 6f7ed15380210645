package fusefs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// createAndHold creates a file, writes to it, and keeps it open without an fsync.
func createAndHold(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "g"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("new"), 10_000)
	return must(err, step(dir, "created", "end"))
}

// timeSet is what setOldTime sets.
var timeSet = time.Unix(1_000_000_000, 123)

// setOldTime gives a file that was written to, and is open for writing, a time of before.
func setOldTime(dir string) error { return os.Chtimes(filepath.Join(dir, "f"), timeSet, timeSet) }

// killedSize is the size, in bytes, of the file that a killed server passes: it is sent in
// parts.
const killedSize = 64 << 20

func killedBucket() *memory.Bucket {
	bucket := memory.New(memory.Options{ContentETags: true})
	bucket.Set("v/f", bytes.Repeat([]byte("0123456789abcdef"), killedSize/16), objstore.Attributes{})
	return bucket
}

// mute is a bucket that never answers a write.
type mute struct{ objstore.Bucket }

func (mute) Put(ctx context.Context, _ string, _ objstore.Body, _ objstore.PutOptions) (objstore.Object, error) {
	<-ctx.Done()
	return objstore.Object{}, ctx.Err()
}

func (mute) CreateUpload(ctx context.Context, _ string, _ objstore.Attributes) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func killedVolume(c *vfs.Config) { c.PassthroughMin, c.CreatedRoom = 1, 1 }

// serveUntilKilled serves a volume, whose local state lies beside it, from a process of its
// own.
func serveUntilKilled(dir string) error {
	fs, _, err := openVolume(context.Background(), mute{killedBucket()}, dir+".state", killedVolume)
	if err != nil {
		return err
	}
	if _, err := fusefs.Mount(fs, fusefs.Options{Dir: dir, FSName: "objvol:test"}); err != nil {
		return err
	}
	return step(dir, "served", "never")
}

// TestServerKilled: what programs wrote before a SIGKILL of the server's process to a large file
// that the bucket has, and what the kernel goes on writing to it, is found by the next one; so
// are a file that they created, and a time that was set.
func TestServerKilled(t *testing.T) {
	dir := mounttest.Dir(t)
	state := dir + ".state"
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	server := mounttest.Command(dir, "serve until killed")
	var output bytes.Buffer
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		_ = server.Process.Kill() // it may have ended
		if err := server.Wait(); err == nil || server.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("the server ended by itself: %v\n%s", err, output.Bytes())
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	killed := false
	t.Cleanup(func() {
		if !killed {
			kill()
		}
	})
	said(t, dir, "served")
	mounttest.Run(t, dir, "read f")
	waits := []func(){mounttest.Start(t, dir, "write and hold", 0), mounttest.Start(t, dir, "create and hold", 0)}
	said(t, dir, "written")
	said(t, dir, "created")
	mounttest.Run(t, dir, "set an old time")
	killed = true
	kill()

	bucket := killedBucket()
	counted := &parts{Bucket: bucket}
	fs, _ := volumeIn(t, counted, state, killedVolume)
	drained(t, fs)
	if e, err := fs.Lookup(t.Context(), vfs.Root, "f"); err != nil || !e.Mtime.Equal(timeSet) {
		t.Errorf("the time that was set is %v, %v", e.Mtime, err)
	}
	has := func(key string, size, at int, want string) func() bool {
		return func() bool {
			data := bucket.Snapshot()["v/"+key].Data
			return len(data) == size && string(data[at:at+len(want)]) == want
		}
	}
	if !has("f", killedSize, 100, "held")() || !has("f", killedSize, killedSize-4, "cdef")() {
		t.Error("what was written to the old file is not in the bucket")
	}
	if !has("g", 10_003, 10_000, "new")() || !has("g", 10_003, 0, "\x00\x00")() {
		t.Error("the new file is not in the bucket")
	}
	if sent := counted.sent.Load(); sent > killedSize/2 {
		t.Errorf("%d bytes were sent", sent)
	}
	say(t, dir, "go on")
	said(t, dir, "written more")
	eventually(t, "what was written later to the old file", has("f", killedSize, 200, "more"))
	say(t, dir, "end")
	for _, wait := range waits {
		wait()
	}
	if left := fmt.Sprint(len(contentFiles(t, state))); left != "2" {
		t.Errorf("%s content files", left)
	}
}
