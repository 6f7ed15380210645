package vfs_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// TestOpenUnlinked: an open file lives on without its name, with bytes that only the
// bucket had (hard-cases 22), and never comes back.
func TestOpenUnlinked(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/f", []byte("only in the bucket"), objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	fh, err := v.open("f", syscall.O_RDWR, 0)
	want(t, err)
	want(t, v.unlink("f"))
	v.drain()
	if _, there := bucket.Snapshot()["v/f"]; there {
		t.Error("the object is still there")
	}
	if _, err := v.Write(t.Context(), fh, 0, []byte("ONLY")); err != nil {
		t.Fatal(err)
	}
	if got, err := v.readAll(fh); err != nil || string(got) != "ONLY in the bucket" {
		t.Errorf("the open file is %q, %v", got, err)
	}
	want(t, v.Flush(t.Context(), fh))
	want(t, v.Fsync(t.Context(), fh, false))
	v.Release(fh)
	v.drain()
	if len(bucket.Snapshot()) != 1 { // the root's marker, with its new times
		t.Errorf("the bucket holds %v", bucket.Snapshot())
	}
	if _, err := v.stat("f"); !errors.Is(err, vfs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

// TestOverwrittenWhileOpen: a file that is renamed over goes on for who has it open.
func TestOverwrittenWhileOpen(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/f", []byte("old"), objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	fh, err := v.open("f", syscall.O_RDONLY, 0)
	want(t, err)
	want(t, v.write("g", 0, []byte("new"), 0))
	want(t, v.rename("g", "f"))
	v.drain()
	if got, err := v.readAll(fh); err != nil || string(got) != "old" {
		t.Errorf("the open file is %q, %v", got, err)
	}
	if got, err := v.read("f"); err != nil || string(got) != "new" {
		t.Errorf("f is %q, %v", got, err)
	}
	v.Release(fh)
}

// TestFsync: when fsync returns, the bucket has the file and the directories above it.
func TestFsync(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	want(t, v.mkdir("d", 0o750))
	fh, err := v.open("d/f", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	want(t, err)
	defer v.Release(fh)
	for _, text := range []string{"first", "second"} {
		if _, err := v.Write(t.Context(), fh, 0, []byte(text)); err != nil {
			t.Fatal(err)
		}
		want(t, v.Fsync(t.Context(), fh, false))
		all := bucket.Snapshot()
		if got := string(all["v/d/f"].Data); got != text {
			t.Errorf("the object is %q after fsync of %q", got, text)
		}
		if _, there := all["v/d/"]; !there {
			t.Error("the directory has no marker after fsync of a file in it")
		}
	}
}

// TestFsyncDir: when fsync of a directory returns, its names are the bucket's.
func TestFsyncDir(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	want(t, v.write("old", 0, []byte("x"), 0))
	v.drain()
	want(t, v.rename("old", "new"))
	want(t, v.write("other", 0, []byte("y"), 0))
	fh := handles.Add(2)
	want(t, v.OpenDir(t.Context(), vfs.Root, 0, fh))
	defer v.ReleaseDir(fh)
	want(t, v.FsyncDir(t.Context(), fh))
	all := bucket.Snapshot()
	for key, there := range map[string]bool{"v/old": false, "v/new": true, "v/other": true} {
		if _, ok := all[key]; ok != there {
			t.Errorf("%s in the bucket: %v, want %v", key, ok, there)
		}
	}
}

// TestSyncLocal: with sync=local fsync asks nothing of the bucket, and what it promised
// survives.
func TestSyncLocal(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	dir := t.TempDir()
	local := func(c *vfs.Config) { c.SyncLocal = true }
	v := open(t, bucket, dir, local)
	_, err := v.names("")
	want(t, err)
	bucket.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
	bucket.Forget()
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	want(t, err)
	if _, err := v.Write(t.Context(), fh, 0, []byte("local")); err != nil {
		t.Fatal(err)
	}
	want(t, v.Fsync(t.Context(), fh, false))
	if slices.ContainsFunc(bucket.Requests(), func(r memory.Request) bool { return r.Key == "v/f" }) {
		t.Error("fsync asked the store")
	}
	v.close()
	v = open(t, bucket, dir, local)
	if got, err := v.read("f"); err != nil || string(got) != "local" {
		t.Errorf("f is %q, %v", got, err)
	}
}

// TestSyncLocalOfData: fdatasync of bytes that were written in place asks nothing of the
// index, as nothing but times has changed there; of all else it does.
func TestSyncLocalOfData(t *testing.T) {
	v := open(t, bucketOf(t, memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.SyncLocal = true })
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	want(t, err)
	write := func(off int64, lasts bool) {
		t.Helper()
		if _, err := v.Write(t.Context(), fh, off, []byte("four")); err != nil {
			t.Fatal(err)
		}
		if got := v.Index.DataLasts(); got != lasts {
			t.Errorf("before fdatasync the index lasts: %v, want %v", got, lasts)
		}
		want(t, v.Fsync(t.Context(), fh, true))
		if !v.Index.DataLasts() {
			t.Error("fdatasync left a change")
		}
	}
	write(0, false)
	time.Sleep(10 * time.Millisecond) // the file's times change, too
	write(0, true)
	write(2, false)
	v.Release(fh)
}

// TestRefusedUpload: what the store refuses is reported to fsync at once and once to each
// handle, stays on this host, and is sent when the store takes it.
func TestRefusedUpload(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	_, err := v.names("")
	want(t, err)
	allow := bucket.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/f", Count: memory.Forever, Err: objstore.ErrAccessDenied})
	fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	want(t, err)
	defer v.Release(fh)
	if _, err := v.Write(t.Context(), fh, 0, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := v.Fsync(t.Context(), fh, false); !errors.Is(err, objstore.ErrAccessDenied) {
		t.Errorf("fsync: %v", err)
	}
	if got, err := v.readAll(fh); err != nil || string(got) != "kept" {
		t.Errorf("the file is %q, %v", got, err)
	}
	if p := v.State(); p.DirtyFiles == 0 || p.LastError == nil {
		t.Errorf("the state shows %+v", p)
	}
	allow()
	v.drain()
	if got := string(bucket.Snapshot()["v/f"].Data); got != "kept" {
		t.Errorf("the object is %q", got)
	}
}

// TestReadDir: each name that is there all the time is read exactly once, whatever
// happens between two calls.
func TestReadDir(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	const count = 1000
	for i := range count {
		want(t, v.symlink("x", "n"+strconv.Itoa(i)))
	}
	fh := handles.Add(2)
	want(t, v.OpenDir(t.Context(), vfs.Root, 0, fh))
	defer v.ReleaseDir(fh)
	seen := make(map[string]int)
	cookie, more := uint64(0), true
	for round := 0; more; round++ {
		more = false
		n := 0
		want(t, v.ReadDir(t.Context(), fh, cookie, round%2 == 0, func(e vfs.DirEntry) bool {
			if n++; n > 37 {
				more = true
				return false
			}
			seen[e.Name]++
			cookie = e.Cookie
			return true
		}))
		// What was read goes, something new comes, something is renamed over.
		for name := range seen {
			if name != "." && name != ".." && seen[name] > 0 {
				want(t, v.unlink(name))
				seen[name] = -1000
				break
			}
		}
		want(t, v.symlink("y", "new"+strconv.Itoa(round)))
		want(t, v.rename("new"+strconv.Itoa(round), "n"+strconv.Itoa(count-1)))
	}
	for i := range count {
		if n := seen["n"+strconv.Itoa(i)]; n != 1 && n > -999 {
			t.Errorf("n%d was read %d times", i, n)
		}
	}
	if seen["."] != 1 || seen[".."] != 1 {
		t.Error(". and .. were not read once")
	}
}

// TestReadOnly: a read-only volume refuses every change.
func TestReadOnly(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/f", []byte("x"), objstore.Attributes{})
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.ReadOnly = true })
	size := int64(0)
	for what, err := range map[string]error{
		"mkdir":    v.mkdir("d", 0o755),
		"write":    v.write("f", 0, []byte("y"), 0),
		"create":   v.write("g", 0, []byte("y"), 0),
		"unlink":   v.unlink("f"),
		"rename":   v.rename("f", "g"),
		"symlink":  v.symlink("x", "s"),
		"truncate": v.setattr("f", vfs.SetAttr{Size: &size}),
	} {
		if !errors.Is(err, vfs.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := v.read("f"); err != nil || string(got) != "x" {
		t.Errorf("f is %q, %v", got, err)
	}
	v.drain()
	if slices.ContainsFunc(bucket.Requests(), func(r memory.Request) bool {
		return r.Op == objstore.OpPut || r.Op == objstore.OpDelete
	}) {
		t.Error("a read-only volume wrote to the bucket")
	}
}

// TestCloseBucket: with close=bucket a closed file is in the bucket.
func TestCloseBucket(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CloseBucket = true })
	want(t, v.write("f", 0, []byte("closed"), 0))
	if got := string(bucket.Snapshot()["v/f"].Data); got != "closed" {
		t.Errorf("the object is %q", got)
	}
}

// TestInterruptedWait: who is interrupted while the store is silent gets its error, and
// the next one an answer.
func TestInterruptedWait(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/f", []byte("late"), objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	_, err := v.names("")
	want(t, err)
	fh, err := v.open("f", syscall.O_RDONLY, 0)
	want(t, err)
	defer v.Release(fh)
	release, asked := make(chan struct{}), make(chan struct{})
	bucket.Inject(memory.Fault{Op: objstore.OpGet, Hook: func() { close(asked); <-release }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := v.Read(ctx, fh, 0, make([]byte, 4)); !errors.Is(err, vfs.ErrInterrupted) {
		t.Errorf("an interrupted read: %v", err)
	}
	close(release)
	if got, err := v.readAll(fh); err != nil || string(got) != "late" {
		t.Errorf("f is %q, %v", got, err)
	}
}

// TestOpenFileRests: a file that stays open is sent when nobody writes for a while, and
// one that is written to all the time once a minute.
func TestOpenFileRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		fh, err := v.open("f", syscall.O_RDWR|syscall.O_CREAT, 0o600)
		want(t, err)
		write := func(text string) {
			if _, err := v.Write(t.Context(), fh, 0, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		sent := func() string { return string(bucket.Snapshot()["v/f"].Data) }
		for range 4 {
			write("a")
			time.Sleep(2 * time.Second)
		}
		if sent() != "" {
			t.Error("a file was sent between two writes")
		}
		time.Sleep(7 * time.Second)
		if sent() != "a" {
			t.Error("a file at rest was not sent")
		}
		for range 40 {
			write("b")
			time.Sleep(2 * time.Second)
		}
		if sent() != "b" {
			t.Error("a file that never rests was not sent")
		}
		v.Release(fh)
	})
}

// TestReaderTellsOfTruncation: what was cut by its path while somebody had it open for reading
// is sent at his close.
func TestReaderTellsOfTruncation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		want(t, v.write("f", 0, []byte("long"), 0))
		v.drain()
		fh, err := v.open("f", syscall.O_RDONLY, 0)
		want(t, err)
		size := int64(2)
		_, _, err = v.SetAttr(t.Context(), v.ino("f"), vfs.SetAttr{Size: &size}, root)
		want(t, err)
		v.Release(fh)
		time.Sleep(2 * time.Second)
		if got := string(bucket.Snapshot()["v/f"].Data); got != "lo" {
			t.Errorf("the bucket has %q", got)
		}
	})
}

// While programs ask for things, a closed file is not sent before it must be; fsync does not
// wait for them to rest.
func TestSendingMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		ask := func(d time.Duration) {
			for range d / (10 * time.Millisecond) {
				v.Asked()
				time.Sleep(10 * time.Millisecond)
			}
		}
		sent := func(key string) bool { _, ok := bucket.Snapshot()[key]; return ok }

		want(t, v.write("f", 0, []byte("x"), 0))
		ask(time.Second)
		if sent("v/f") {
			t.Error("a file was sent while programs worked")
		}
		fh, err := v.open("g", syscall.O_RDWR|syscall.O_CREAT, 0o600)
		want(t, err)
		want(t, v.Fsync(t.Context(), fh, false))
		if !sent("v/g") || sent("v/f") {
			t.Errorf("fsync: %t, another file: %t", sent("v/g"), sent("v/f"))
		}
		v.Release(fh)
		ask(2 * time.Second)
		if !sent("v/f") {
			t.Error("a file was not sent under a program that does not rest")
		}
	})
}
