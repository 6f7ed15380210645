package writeback_test

import (
	"sync"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// A file that gets a second name while its object is copied out of the way of others keeps
// its object where it was: the hidden copy is nobody's.
func TestLinkedWhileParked(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "first")
		v.write("b", "second")
		v.drain()
		var once sync.Once
		b.Inject(memory.Fault{Op: objstore.OpPut, Prefix: ".objvol/volumes/v/moving/", After: true, Hook: func() {
			once.Do(func() { v.link("b", "c") })
		}})
		v.rename("a", "swap")
		v.rename("b", "a")
		v.rename("swap", "b")
		v.drain()
		time.Sleep(time.Minute)
		v.drain()
		v.quiet()
		if _, err := v.stat("c"); err != nil {
			t.Errorf("nothing was parked: %v", err)
		}
		for key, want := range map[string]string{"v/a": "second", "v/b": "first", "v/c": "first"} {
			v.wantObject(b, key, want)
		}
		if left := keys(b, ".objvol/volumes/v/moving/"); len(left) > 0 {
			t.Errorf("hidden copies are left: %q", left)
		}
	})
}

// stays watches whether the bucket has a content after every request. What it returns
// fails the test if it once had not.
func (v *volume) stays(b *memory.Bucket, content string) (check func()) {
	var mu sync.Mutex
	lost := 0
	b.Inject(memory.Fault{Count: memory.Forever, After: true, Hook: func() {
		mu.Lock()
		defer mu.Unlock()
		for _, stored := range b.Snapshot() {
			if string(stored.Data) == content {
				return
			}
		}
		lost++
	}})
	return func() {
		v.t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if lost > 0 {
			v.t.Errorf("after %d requests %q was not in the bucket", lost, content)
		}
	}
}

// The newest copy of a file lies where a directory is now in which the file's other name
// is: neither waits for the other for ever, and the content is in the bucket at any time.
func TestNewestCopyInTheWayOfItsOtherName(t *testing.T) {
	t.Parallel()
	for name, without := range map[string]objstore.Capabilities{
		"both":         {},
		"one of a, a/": {FileAndDirectory: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{Without: without})
			bubble(t, b, func(v *volume) {
				v.write("a", "content")
				v.drain()
				stays := v.stays(b, "content")
				v.link("a", "b")
				v.unlink("a")
				v.mkdir("a")
				v.rename("b", "a/b")
				v.drain()
				v.quiet()
				v.wantObject(b, "v/a/b", "content")
				if left := append(keys(b, ".objvol/volumes/v/moving/"), keys(b, "v/")...); len(left) != 3 {
					t.Errorf("the bucket has %q", left)
				}
				stays()
			})
		})
	}
}

// A name goes with its object though the answer to its write was lost before the file got
// another name.
func TestUnlinkedNameWhoseWriteWasLost(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "first")
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", After: true, Err: objstore.ErrUnavailable})
		for range 100 {
			if _, sent := content(b, "v/a"); sent {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		v.link("a", "b")
		v.write("b", "second")
		v.unlink("a")
		v.drain()
		v.quiet()
		v.wantObject(b, "v/b", "second")
		if left := keys(b, "v/"); len(left) != 2 {
			t.Errorf("the bucket has %q", left)
		}
	})
}

// Of a file two names go, the first by a delete whose answer is lost: the other's copy
// stays until the name that is left has its own.
func TestNamesGoWhileADeleteIsLost(t *testing.T) {
	t.Parallel()
	for first, second := range map[string]string{"a": "b", "b": "a"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			bubble(t, b, func(v *volume) {
				v.write("a", "content")
				v.link("a", "b")
				v.drain()
				v.close()
				v.open() // the content is not on this host any more
				stays := v.stays(b, "content")
				for _, op := range []string{objstore.OpDelete, objstore.OpDeleteMany} {
					b.Inject(memory.Fault{Op: op, Key: "v/" + first, After: true, Err: objstore.ErrUnavailable})
				}
				b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/c", Count: 3, Err: objstore.ErrUnavailable})
				v.unlink(first)
				for range 100 {
					if _, there := content(b, "v/"+first); !there {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				v.link(second, "c")
				v.unlink(second)
				time.Sleep(time.Minute)
				v.drain()
				v.quiet()
				stays()
				v.wantObject(b, "v/c", "content")
				if left := keys(b, "v/"); len(left) != 2 {
					t.Errorf("the bucket has %q", left)
				}
			})
		})
	}
}
