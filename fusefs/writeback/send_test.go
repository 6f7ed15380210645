package writeback_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/fusefs/writeback"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// mutations are the requests that changed the bucket, or tried to, with their keys.
func mutations(b *memory.Bucket) []string {
	var all []string
	for _, r := range b.Requests() {
		switch r.Op {
		case objstore.OpPut, objstore.OpDelete, objstore.OpDeleteMany, objstore.OpCompleteUpload:
			all = append(all, r.Op+" "+r.Key)
		}
	}
	return all
}

// Everything that happens to a new file within its settling time is one request.
func TestCoalescing(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.names("")
		v.write("tmp", "first")
		v.write("tmp", "second")
		v.chmod("tmp", 0o600)
		v.rename("tmp", "final")
		time.Sleep(time.Second)
		if got := mutations(b); !slices.Equal(got, []string{"put v/final"}) {
			t.Errorf("the requests are %q", got)
		}
		b.Forget()
		v.write("final", "third")
		v.unlink("final")
		v.write("final", "fourth")
		v.write("never", "x")
		v.unlink("never")
		time.Sleep(time.Second / 2) // the directory settles for longer
		if got := mutations(b); !slices.Equal(got, []string{"put v/final"}) {
			t.Errorf("the requests are %q", got)
		}
	})
}

// A small file that moved is sent again, a large one is copied inside the store.
func TestMoveSmallAndLarge(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{Without: objstore.Capabilities{BatchDelete: true}})
	bubble(t, b, func(v *volume) {
		v.mkdir("d")
		v.write("d/small", "x")
		v.write("d/large", big)
		v.drain()
		b.Forget()
		v.rename("d", "e")
		v.drain()
		got := mutations(b)
		slices.Sort(got)
		want := []string{
			"complete_upload v/e/large", "delete v/d/", "delete v/d/large", "delete v/d/small",
			"put v/", "put v/e/", "put v/e/small",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the requests are %q", got)
		}
		if i, j := slices.Index(mutations(b), "delete v/d/"), slices.Index(mutations(b), "delete v/d/large"); i < j {
			t.Errorf("the marker went before a key below it: %q", mutations(b))
		}
		v.quiet()
	})
}

// slow is a bucket whose bodies are read in two moments: between them something happens.
type slow struct {
	*memory.Bucket
	between func()
}

func (s *slow) Put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
	return s.Bucket.Put(ctx, key, slowBody{body, s.between}, opts)
}

func (s *slow) UploadPart(ctx context.Context, key, id string, number int, body objstore.Body) (objstore.Part, error) {
	return s.Bucket.UploadPart(ctx, key, id, number, slowBody{body, s.between})
}

type slowBody struct {
	objstore.Body
	between func()
}

func (b slowBody) Open() (io.ReadCloser, error) {
	r, err := b.Body.Open()
	half := io.LimitReader(r, b.Size()/2)
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(half, event(b.between), r), r}, err
}

// event is an empty reader that calls a function.
type event func()

func (e event) Read([]byte) (int, error) { e(); return 0, io.EOF }

// A file that is written to while it is sent never arrives as a mixture of two moments,
// in one request and in parts. One that never rests arrives all the same.
func TestTorn(t *testing.T) {
	for name, size := range map[string]int{"whole": 64 << 10, "parts": 40 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &slow{Bucket: memory.New(memory.Options{})}
			var mu sync.Mutex // protects what follows
			var event func()
			torn, round := false, 0
			b.between = func() {
				mu.Lock()
				defer mu.Unlock()
				if event != nil {
					event()
				}
			}
			bubble(t, b, func(v *volume) {
				v.write("a", strings.Repeat("0", size))
				fh := v.openFile("a", 0)
				event = func() {
					round++
					_, err := v.Write(v.t.Context(), fh, 0, []byte(strings.Repeat(string(rune('0'+round%10)), size)))
					v.must(err)
				}
				b.Inject(memory.Fault{Key: "v/a", Count: memory.Forever, After: true, Hook: func() {
					got, there := content(b.Bucket, "v/a")
					mu.Lock()
					defer mu.Unlock()
					torn = torn || there && (len(got) != size || strings.Trim(got, got[:1]) != "")
				}})
				v.must(v.Fsync(v.t.Context(), fh, false))
				mu.Lock()
				if _, there := content(b.Bucket, "v/a"); !there || round < 2 {
					t.Errorf("there: %t, written %d times meanwhile", there, round)
				}
				event = nil
				mu.Unlock()
				v.Release(fh)
				v.drain()
				v.quiet()
				v.wantObject(b.Bucket, "v/a", v.read("a"))
				if left := b.Uploads(); torn || len(left) > 0 {
					t.Errorf("torn: %t, unfinished uploads %v", torn, left)
				}
			})
		})
	}
}

// A file that is made shorter while it is sent is sent again; it has not failed.
func TestShortenedWhileItIsSent(t *testing.T) {
	for name, size := range map[string]int{"whole": 64 << 10, "parts": 40 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &slow{Bucket: memory.New(memory.Options{})}
			var shorten sync.Once
			begun := make(chan func(), 1)
			b.between = func() {
				shorten.Do(func() { (<-begun)() })
			}
			bubble(t, b, func(v *volume) {
				v.write("a", strings.Repeat("0", size))
				fh := v.openFile("a", 0)
				a, err := v.stat("a")
				v.must(err)
				begun <- func() {
					_, _, err := v.SetAttr(v.t.Context(), a.Ino, vfs.SetAttr{Size: new(int64)}, vfs.Caller{})
					v.must(err)
				}
				v.must(v.Fsync(v.t.Context(), fh, false))
				v.must(v.Flush(v.t.Context(), fh))
				v.Release(fh)
				v.wantObject(b.Bucket, "v/a", "")
			})
		})
	}
}

// The times of an object are those of its content, although it was written to between
// the plan and the reading.
func TestTimesFitTheContent(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", big)
		v.drain()
		v.close()
		v.open()
		fh := v.openFile("a", 0)
		_, err := v.Write(v.t.Context(), fh, 0, []byte("x"))
		v.must(err)
		// While the rest is fetched for sending, somebody writes on.
		var failed error
		b.Inject(memory.Fault{Op: objstore.OpGet, Key: "v/a", Hook: func() {
			for began := v.mtime("a"); failed == nil && v.mtime("a").Equal(began); {
				_, failed = v.Write(v.t.Context(), fh, 0, []byte("y"))
			}
		}})
		v.must(v.Fsync(v.t.Context(), fh, false))
		v.Release(fh)
		v.drain()
		v.must(failed)
		wantTime := v.mtime("a")
		v.wantObject(b, "v/a", "y"+big[1:])
		v.close()
		v.dir = v.t.TempDir() // another host
		v.open()
		if got := v.mtime("a"); !got.Equal(wantTime) {
			t.Errorf("the object's time is %v, the file's %v", got, wantTime)
		}
	})
}

func (v *volume) mtime(p string) time.Time {
	v.t.Helper()
	a, err := v.stat(p)
	v.must(err)
	return a.Mtime
}

// fsync waits for the file, its name and the directories above, and for nothing else.
func TestSync(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.names("")
		v.mkdir("d")
		v.mkdir("d/e")
		v.write("d/e/f", "x")
		v.write("other", "x")
		began := time.Now()
		v.must(v.fsync("d/e/f"))
		if waited := time.Since(began); waited != 0 {
			t.Errorf("fsync waited %v for a settling time", waited)
		}
		v.wantKeys(b, "v/", "v/d/", "v/d/e/", "v/d/e/f")
		b.Forget()
		v.must(v.fsync("d/e/f"))
		if got := mutations(b); len(got) > 0 {
			t.Errorf("fsync of what is there sent %q", got)
		}
	})
}

// fsync of a directory waits for what was made, moved or removed in it.
func TestSyncDir(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.mkdir("d")
		v.mkdir("e")
		for _, name := range []string{"removed", "out", "in"} {
			v.write("d/"+name, name)
		}
		v.rename("d/in", "e/in")
		v.drain()
		v.unlink("d/removed")
		v.rename("d/out", "e/out")
		v.rename("e/in", "d/in")
		v.write("d/new", "new")
		v.write("e/other", "other")
		a, err := v.stat("d")
		v.must(err)
		fh := v.next.Add(1)
		v.must(v.OpenDir(v.t.Context(), a.Ino, 0, fh))
		defer v.ReleaseDir(fh)
		v.must(v.FsyncDir(v.t.Context(), fh))
		got := keys(b, "v/d/")
		slices.Sort(got)
		if !slices.Equal(got, []string{"v/d/", "v/d/in", "v/d/new"}) {
			t.Errorf("the bucket has %q", got)
		}
	})
}

// awaitTick returns when the kernel's clock for the times of files has moved. It is not the
// bubble's.
func awaitTick(t *testing.T) {
	t.Helper()
	var first, now unix.Timespec
	for began := true; now == first; began = false {
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			t.Fatal(err)
		}
		if began {
			first = now
		}
	}
}

// fsync of a directory does not wait for the times that changes of its names gave it, but
// for all else of its attributes. The times follow.
func TestSyncDirTimes(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.mkdir("d")
		v.write("d/f", "x")
		v.drain()
		a, err := v.stat("d")
		v.must(err)
		fh := v.next.Add(1)
		v.must(v.OpenDir(v.t.Context(), a.Ino, 0, fh))
		defer v.ReleaseDir(fh)
		syncs := func(what string, want ...string) {
			v.t.Helper()
			b.Forget()
			v.must(v.FsyncDir(v.t.Context(), fh))
			got := mutations(b)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				v.t.Errorf("%s: fsync sent %q, not %q", what, got, want)
			}
		}
		was := b.Snapshot()["v/d/"].Metadata["mtime"]
		for range 3 {
			awaitTick(t)
			v.unlink("d/f")
			v.write("d/f", "y")
			syncs("a file instead of another", "put v/d/f")
		}
		time.Sleep(5 * time.Second)
		if now := b.Snapshot()["v/d/"].Metadata["mtime"]; now == was {
			t.Error("the directory's time did not follow")
		}
		mode := uint32(0o700)
		v.write("d/g", "z")
		_, _, err = v.SetAttr(v.t.Context(), a.Ino, vfs.SetAttr{Mode: &mode}, vfs.Caller{})
		v.must(err)
		v.unlink("d/f")
		syncs("a change of its mode", "delete v/d/f", "put v/d/", "put v/d/g")
		syncs("nothing")
	})
}

// A store that refuses is reported at once, one that does not answer after a while; the
// file is sent when the store recovers, and then nothing is reported any more.
func TestFailures(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.names("")
		v.drain()
		v.write("a", "x")
		for _, test := range []struct {
			err  error
			wait time.Duration
		}{{objstore.ErrAccessDenied, 0}, {objstore.ErrUnavailable, 30 * time.Second}} {
			heal := b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Count: memory.Forever, Err: test.err})
			began := time.Now()
			if err := v.fsync("a"); !errors.Is(err, test.err) {
				t.Errorf("fsync: %v, not %v", err, test.err)
			}
			if waited := time.Since(began); waited != test.wait {
				t.Errorf("fsync waited %v for %v", waited, test.err)
			}
			v.write("fine", test.err.Error()) // another file's success says nothing
			v.must(v.fsync("fine"))
			if err := v.State().LastError; !errors.Is(err, test.err) {
				t.Errorf("the last error is %v", err)
			}
			ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
			err := v.Drain(ctx)
			cancel()
			var pending *writeback.PendingError
			if !errors.As(err, &pending) || pending.Files != 1 || pending.Bytes != 1 || !errors.Is(err, test.err) {
				t.Errorf("drain: %v", err)
			} else if want := "1 changes with 1 bytes are not in the bucket yet (/a): put \"v/a\": " + test.err.Error(); err.Error() != want {
				t.Errorf("drain says %q", err)
			}
			heal()
		}
		v.drain()
		v.quiet()
	})
}

// A hot directory of failing files does not ask the store without pause.
func TestSyncPauses(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "x")
		v.drain()
		b.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
		v.unlink("a")
		b.Forget()
		fh := v.next.Add(1)
		v.must(v.OpenDir(v.t.Context(), vfs.Root, 0, fh))
		defer v.ReleaseDir(fh)
		if err := v.FsyncDir(v.t.Context(), fh); !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("fsync: %v", err)
		}
		if n := b.Count(""); n > 200 {
			t.Errorf("%d requests in 30 seconds", n)
		}
	})
}

// An fsync ends when the filesystem is closed under it.
func TestSyncEndsWithClose(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.names("")
		v.write("a", "x")
		fh := v.openFile("a", 0)
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Delay: patience})
		synced := make(chan error)
		go func() { synced <- v.Fsync(v.t.Context(), fh, false) }()
		time.Sleep(time.Second)
		began := time.Now()
		v.close()
		if err := <-synced; err == nil || time.Since(began) != 0 {
			t.Errorf("fsync ended after %v: %v", time.Since(began), err)
		}
		v.open()
	})
}

// A listing that was overtaken by our own requests neither takes back, nor removes, nor
// revives anything (hard-cases 9).
func TestListingsAreOvertaken(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		for _, name := range []string{"written", "deleted", "renamed", "replaced", "chmod"} {
			v.write(name, "old")
		}
		v.drain()
		v.names("")
		time.Sleep(2 * time.Hour)
		var once sync.Once
		held := make(chan struct{})
		remove := b.Inject(memory.Fault{Op: objstore.OpList, Key: "v/", After: true, Hook: func() {
			once.Do(func() {
				defer close(held)
				v.write("written", "new")
				v.write("made", "new")
				v.unlink("deleted")
				v.rename("renamed", "here")
				v.rename("replaced", "chmod")
				v.drain()
			})
		}})
		defer remove()
		v.names("")
		<-held
		time.Sleep(time.Second)
		v.drain()
		got := v.names("")
		slices.Sort(got)
		if want := []string{"chmod", "here", "made", "written"}; !slices.Equal(got, want) {
			t.Errorf("the names are %q, not %q", got, want)
		}
		for name, want := range map[string]string{"written": "new", "made": "new", "here": "old", "chmod": "old"} {
			if got := v.read(name); got != want {
				t.Errorf("%s reads %q, not %q", name, got, want)
			}
		}
		v.quiet()
		v.wantKeys(b, "v/", "v/chmod", "v/here", "v/made", "v/written")
	}, func(c *vfs.Config) { c.TTL = time.Hour })
}

// Hidden copies that a crash left are removed at the next start.
func TestHiddenCopiesAreSwept(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Set(".objvol/volumes/v/moving/77", []byte("x"), objstore.Attributes{})
	bubble(t, b, func(v *volume) {
		time.Sleep(time.Second)
		v.drain()
		v.wantKeys(b)
	})
}

// A write that the store denies once, as MinIO does beside the delete of a directory's last
// object, is no error of fsync; what it denies for good is, at once.
func TestFsyncOfADeniedWrite(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, objstore.WithRetry(b, objstore.RetryPolicy{}, nil), func(v *volume) {
		v.names("")
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Err: objstore.ErrAccessDenied})
		v.write("a", "content")
		v.must(v.fsync("a"))
		v.wantObject(b, "v/a", "content")
		v.drain()
		v.quiet()
		allow := b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Err: objstore.ErrAccessDenied, Count: memory.Forever})
		v.write("a", "other")
		began := time.Now()
		if err := v.fsync("a"); !errors.Is(err, vfs.ErrAccess) {
			t.Errorf("fsync of what is denied: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		allow()
		v.drain()
		v.wantObject(b, "v/a", "other")
	})
}

// TestRemovedWhileItFails: that a file could not be sent is no failure once it is gone.
func TestRemovedWhileItFails(t *testing.T) {
	bucket := memory.New(memory.Options{})
	bubble(t, bucket, func(v *volume) {
		v.write("stays", "x")
		v.drain()
		v.write("goes", "x")
		gone, err := v.stat("goes")
		v.must(err)
		bucket.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/goes", Err: objstore.ErrAccessDenied, Hook: func() {
			v.must(v.Unlink(v.t.Context(), vfs.Root, "goes"))
			v.Forget(gone.Ino, 1)
		}})
		time.Sleep(300 * time.Millisecond) // settled, sent, and not tried again
		if s := v.State(); s.LastError != nil {
			t.Errorf("error %v", s.LastError)
		}
		v.drain()
		if _, there := bucket.Snapshot()["v/goes"]; there {
			t.Error("it is in the bucket")
		}
	})
}
