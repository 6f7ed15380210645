package writeback_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

const moving = ".objvol/volumes/v/moving/"

// swap exchanges two names, over a third one.
func (v *volume) swap(one, other string) {
	v.rename(one, "swap")
	v.rename(other, one)
	v.rename("swap", other)
}

// wantNoneHidden fails if hidden copies are in the bucket after all was sent.
func (v *volume) wantNoneHidden(b *memory.Bucket) {
	v.t.Helper()
	time.Sleep(time.Minute)
	v.drain()
	v.quiet()
	if left := keys(b, moving); len(left) > 0 {
		v.t.Errorf("hidden copies are left: %q", left)
	}
}

// A hidden copy whose answer was lost does not stay though the next attempt finds its source
// removed, and the look for leftovers after the first one came during it.
func TestHiddenCopyOfALostSource(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "first")
		v.write("b", "second")
		v.drain()
		var lost atomic.Bool
		b.Inject(memory.Fault{Op: objstore.OpPut, Prefix: moving, After: true, Err: objstore.ErrUnavailable, Hook: func() { lost.Store(true) }})
		b.Inject(memory.Fault{Op: objstore.OpGet, Key: "v/a", Nth: 2, Delay: 10 * time.Second, Hook: func() { b.Remove("v/a") }})
		v.swap("a", "b")
		time.Sleep(time.Minute)
		if !lost.Load() {
			t.Error("nothing was parked")
		}
		v.wantNoneHidden(b)
		v.wantObject(b, "v/a", "second")
		v.wantObject(b, "v/b", "first")
	})
}

// A hidden copy that was to be deleted, and was made again by a request whose answer was lost,
// does not stay when the delete finds it to be another.
func TestHiddenCopyMadeAgain(t *testing.T) {
	for name, without := range map[string]objstore.Capabilities{"alone": {BatchDelete: true}, "together": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{Without: without})
			bubble(t, b, func(v *volume) {
				v.write("a", "first")
				v.write("b", "second")
				v.drain()
				for _, op := range []string{objstore.OpDelete, objstore.OpDeleteMany} {
					b.Inject(memory.Fault{Op: op, Prefix: moving, Count: 4, Err: objstore.ErrUnavailable})
				}
				v.swap("a", "b")
				time.Sleep(time.Second)
				if len(keys(b, moving)) != 1 {
					t.Fatal("no hidden copy waits for its delete")
				}
				var again atomic.Bool
				b.Inject(memory.Fault{Op: objstore.OpPut, Prefix: moving, After: true, Err: objstore.ErrUnavailable, Hook: func() {
					again.Store(true)
					v.swap("a", "b") // nothing has to move any more
				}})
				v.swap("a", "b")
				time.Sleep(10 * time.Second)
				if !again.Load() {
					t.Error("nothing was parked a second time")
				}
				v.wantNoneHidden(b)
				v.wantObject(b, "v/a", "second")
				v.wantObject(b, "v/b", "first")
			})
		})
	}
}

// A hidden copy that comes late, of a request that was given up, is found when no more can come.
// So is that of an earlier process.
func TestHiddenCopyThatComesLate(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "first")
		v.write("b", "second")
		v.drain()
		time.Sleep(time.Hour)
		b.Forget()
		b.Inject(memory.Fault{Op: objstore.OpPut, Prefix: moving, Err: objstore.ErrUnavailable})
		v.swap("a", "b")
		time.Sleep(10 * time.Minute)
		v.drain()
		var late string
		for _, r := range b.Requests() {
			if r.Op == objstore.OpPut && strings.HasPrefix(r.Key, moving) {
				late = r.Key
			}
		}
		if late == "" {
			t.Fatal("nothing was parked")
		}
		b.Set(late, []byte("first"), objstore.Attributes{})
		time.Sleep(30 * time.Minute)
		v.wantNoneHidden(b)

		v.close()
		v.open()
		time.Sleep(10 * time.Minute)
		b.Set(late, []byte("first"), objstore.Attributes{})
		time.Sleep(30 * time.Minute)
		v.wantNoneHidden(b)
		b.Forget()
		time.Sleep(10 * time.Hour)
		if n := len(b.Requests()); n > 0 {
			t.Errorf("%d requests of a volume that rests", n)
		}
	})
}
