package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// said waits until a case has done a step.
func said(t *testing.T, dir, what string) {
	t.Helper()
	eventually(t, what, func() bool {
		_, err := os.Stat(dir + "." + what)
		return err == nil
	})
	t.Cleanup(func() { _ = os.Remove(dir + "." + what) })
}

// say lets a case go on.
func say(t *testing.T, dir, what string) {
	t.Helper()
	if err := os.WriteFile(dir+"."+what, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir + "." + what) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not within 30 s", what)
}

func drained(t *testing.T, fs *vfs.FS) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := fs.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

// filled is a bucket with one file of the letter a.
func filled(t *testing.T) *memory.Bucket {
	t.Helper()
	bucket := memory.New(memory.Options{})
	bucket.Set("v/f", bytes.Repeat([]byte{'a'}, large), objstore.Attributes{})
	return bucket
}

// tight is a volume whose cache has room for one file of these tests.
func tight(t *testing.T, bucket objstore.Bucket, state string) *vfs.FS {
	t.Helper()
	fs, _ := volumeIn(t, bucket, state, func(c *vfs.Config) { c.CacheSize, c.PassthroughMin = large*3/2, 1 })
	return fs
}

// contentFiles are the content files of a volume.
func contentFiles(t *testing.T, state string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "data", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// bytesAt is whether an object has bytes at a place.
func bytesAt(bucket *memory.Bucket, at int, want string) func() bool {
	return func() bool {
		data := bucket.Snapshot()["v/f"].Data
		return len(data) >= at+len(want) && string(data[at:at+len(want)]) == want
	}
}

// TestMappedForWriting: stores through a mapping whose file is closed reach the bucket, each
// time, and the content file stays as long as the mapping (hard-cases 1).
func TestMappedForWriting(t *testing.T) {
	state, bucket := t.TempDir(), filled(t)
	fs := tight(t, bucket, state)
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	wait := mounttest.Start(t, s.Dir(), "map and store", 0)
	said(t, s.Dir(), "mapped")
	if opens := fs.State().Opens; opens.Passed != 1 {
		t.Fatalf("opened: %+v", opens)
	}
	kept := contentFiles(t, state)
	crowd := func() {
		t.Helper()
		mounttest.Run(t, s.Dir(), "write g")
		drained(t, fs)
		eventually(t, "an eviction", func() bool { return fs.State().CacheBytes <= large })
	}
	crowd()
	say(t, s.Dir(), "store")
	said(t, s.Dir(), "stored")
	eventually(t, "the first store", bytesAt(bucket, 0, "1a"))
	crowd()
	say(t, s.Dir(), "again")
	said(t, s.Dir(), "stored-again")
	eventually(t, "the second store", bytesAt(bucket, 0, "12a"))
	eventually(t, "its end", bytesAt(bucket, large-1, "2"))
	drained(t, fs)
	if now := contentFiles(t, state); !slices.Contains(now, kept[0]) {
		t.Errorf("a mapped content file is gone: %v, was %v", now, kept)
	}
	say(t, s.Dir(), "end")
	said(t, s.Dir(), "ended")
	wait()
	eventually(t, "the eviction of what is not mapped any more", func() bool {
		crowd()
		return !slices.Contains(contentFiles(t, state), kept[0])
	})
	mounttest.Run(t, s.Dir(), "read f")
	if !bytesAt(bucket, 0, "12a")() {
		t.Error("the object changed again")
	}
}

// TestMappedForReading: a content file stays as long as it is mapped.
func TestMappedForReading(t *testing.T) {
	state, bucket := t.TempDir(), filled(t)
	fs := tight(t, bucket, state)
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	wait := mounttest.Start(t, s.Dir(), "map to read", 0)
	said(t, s.Dir(), "mapped")
	kept := contentFiles(t, state)
	mounttest.Run(t, s.Dir(), "write g")
	drained(t, fs)
	eventually(t, "an eviction", func() bool { return fs.State().CacheBytes <= large })
	if now := contentFiles(t, state); !slices.Contains(now, kept[0]) {
		t.Errorf("a mapped content file is gone: %v, was %v", now, kept)
	}
	say(t, s.Dir(), "look")
	said(t, s.Dir(), "ended")
	wait()
	eventually(t, "the eviction of what is not mapped any more", func() bool {
		mounttest.Run(t, s.Dir(), "write g")
		return !slices.Contains(contentFiles(t, state), kept[0])
	})
}

// TestServerGone: what a program writes to a passed file before and after its server died is
// found by the next one.
func TestServerGone(t *testing.T) {
	state, bucket := t.TempDir(), filled(t)
	fs, crash := volumeIn(t, bucket, state, func(c *vfs.Config) { c.PassthroughMin = 1 })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	wait := mounttest.Start(t, s.Dir(), "write and hold", 0)
	said(t, s.Dir(), "written")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := errors.Join(s.Abort(ctx), s.Unmount()); err != nil {
		t.Fatal(err)
	}
	crash()
	if bytesAt(bucket, 100, "held")() {
		t.Fatal("the bucket has it already: the test shows nothing")
	}

	fs, _ = volumeIn(t, bucket, state, func(c *vfs.Config) { c.PassthroughMin = 1 })
	drained(t, fs)
	if !bytesAt(bucket, 100, "held")() {
		t.Error("what was written before is not in the bucket")
	}
	say(t, s.Dir(), "go on")
	said(t, s.Dir(), "written more")
	eventually(t, "what was written later", bytesAt(bucket, 200, "more"))
	say(t, s.Dir(), "end")
	wait()
}

// TestForeignVersionOfPassedFile: another writer's version waits for the last close of a file
// that programs only read, and is a conflict with one that they write.
func TestForeignVersionOfPassedFile(t *testing.T) {
	bucket := filled(t)
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin, c.TTL = 1, 0 })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	wait := mounttest.Start(t, s.Dir(), "map to read", 0)
	said(t, s.Dir(), "mapped")
	say(t, s.Dir(), "look")
	wait()

	wait = mounttest.Start(t, s.Dir(), "write and hold", 0)
	said(t, s.Dir(), "written")
	bucket.Set("v/f", bytes.Repeat([]byte{'x'}, large), objstore.Attributes{})
	mounttest.Run(t, s.Dir(), "list")
	say(t, s.Dir(), "go on")
	said(t, s.Dir(), "written more")
	say(t, s.Dir(), "end")
	wait()
	drained(t, fs)
	conflict := ""
	for key, obj := range bucket.Snapshot() {
		if strings.HasPrefix(key, "v/f.conflict-") {
			conflict = string(obj.Data[100:104]) + string(obj.Data[200:204])
		}
	}
	if conflict != "heldmore" || !bytesAt(bucket, 0, "xxx")() {
		t.Errorf("the conflict file has %q", conflict)
	}
}

// TestWriterThatIsNotAdmitted: a file that is open for reading in passthrough is written
// through the driver by who may not write to it otherwise, and both see the same.
func TestWriterThatIsNotAdmitted(t *testing.T) {
	bucket := memory.New(memory.Options{})
	counts := newCounter()
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin, c.WrittenMost = 1, 1 })
	s := mounted(t, fs, fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "passed")
	mounttest.Run(t, s.Dir(), "written by the driver")
	if fs.State().Opens.Passed < 2 {
		t.Errorf("opened: %+v", fs.State().Opens)
	}
	drained(t, fs)
	if data := bucket.Snapshot()["v/w"].Data; len(data) != large+3 || string(data[:3]) != "yes" || string(data[large:]) != "end" {
		t.Errorf("the object has %d bytes, %.3q", len(data), data)
	}
}

// TestStackedStateDirectory: where the kernel takes no content files, because they lie on a
// file system that is stacked on another, all goes through the driver.
func TestStackedStateDirectory(t *testing.T) {
	mounttest.Require(t)
	state := mounttest.Dir(t)
	layers := t.TempDir()
	var dirs []any
	for _, name := range []string{"lower", "upper", "work"} {
		dir := filepath.Join(layers, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	if err := unix.Mount("overlay", state, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dirs...)); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(state, 0); err != nil {
			t.Error(err)
		}
	})
	bucket := filled(t)
	fs, _ := volumeIn(t, bucket, state, func(c *vfs.Config) { c.PassthroughMin = 1 })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	mounttest.Run(t, s.Dir(), "passed")
	mounttest.Run(t, s.Dir(), "passed: hard links")
	if opens := fs.State().Opens; opens.Passed != 0 {
		t.Errorf("opened: %+v", opens)
	}
}

// TestPagesOfBefore: what the kernel kept of a mediated file is not shown after it was
// written to in passthrough.
func TestPagesOfBefore(t *testing.T) {
	fs, _ := volumeIn(t, memory.New(memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = large })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "passed: pages")
	// An open that comes before the last release was told goes on in the way of before.
	if opens := fs.State().Opens; opens.Passed == 0 || opens.Mediated == 0 {
		t.Errorf("opened: %+v", opens)
	}
}

// parts counts the bytes that are sent.
type parts struct {
	objstore.Bucket
	sent atomic.Int64
}

func (p *parts) Put(ctx context.Context, key string, body objstore.Body, o objstore.PutOptions) (objstore.Object, error) {
	p.sent.Add(body.Size())
	return p.Bucket.Put(ctx, key, body, o)
}

func (p *parts) UploadPart(ctx context.Context, key, upload string, number int, body objstore.Body) (objstore.Part, error) {
	p.sent.Add(body.Size())
	return p.Bucket.UploadPart(ctx, key, upload, number, body)
}

// TestChangedPartsOfPassedFile: of a large file that the kernel writes to, only what has
// changed is sent: at fsync, at close, and again after that.
func TestChangedPartsOfPassedFile(t *testing.T) {
	const size = 64 << 20
	memory := memory.New(memory.Options{})
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	memory.Set("v/f", want, objstore.Attributes{})
	bucket := &parts{Bucket: memory}
	fs, _ := volumeIn(t, bucket, t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = 1 })
	s := mounted(t, fs, fusefs.Options{})
	mounttest.Run(t, s.Dir(), "read f")
	for round := range 3 {
		bucket.sent.Store(0)
		mounttest.Run(t, s.Dir(), "change a little")
		drained(t, fs)
		want[size/2]++
		want[size-1]++
		if !bytes.Equal(memory.Snapshot()["v/f"].Data, want) {
			t.Fatalf("round %d: the object is another", round)
		}
		if sent := bucket.sent.Load(); sent == 0 || sent > size/2 {
			t.Errorf("round %d: %d bytes were sent", round, sent)
		}
	}
	// Two bytes each time, in a MiB each.
	if opens := fs.State().Opens; opens.Passed != 3 || opens.ChangedBytes != 3*2<<20 {
		t.Errorf("opened: %+v", opens)
	}
}
