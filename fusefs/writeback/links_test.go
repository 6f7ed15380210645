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
				var mu sync.Mutex
				lost := 0
				b.Inject(memory.Fault{Count: memory.Forever, After: true, Hook: func() {
					mu.Lock()
					defer mu.Unlock()
					for _, stored := range b.Snapshot() {
						if string(stored.Data) == "content" {
							return
						}
					}
					lost++
				}})
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
				mu.Lock()
				defer mu.Unlock()
				if lost > 0 {
					t.Errorf("after %d requests the content was not in the bucket", lost)
				}
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
