package writeback_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// unconditional is a store that does not compare ETags when it deletes.
var unconditional = memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}}

// filled makes a directory of files and sends it.
func filled(v *volume, b *memory.Bucket, files int) {
	v.mkdir("d")
	for i := range files {
		v.write(fmt.Sprintf("d/%04d", i), "x")
	}
	v.drain()
	b.Forget()
}

// TestDeleteMany: what is removed together goes together, after one listing each and before
// the directory's marker, when the program no longer removes.
func TestDeleteMany(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]memory.Options{"conditional": {}, "unconditional": unconditional} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(o)
			bubble(t, b, func(v *volume) {
				const files = objstore.MaxDeletes + 300
				filled(v, b, files)
				for i := range files {
					v.unlink(fmt.Sprintf("d/%04d", i))
					v.Asked()
					time.Sleep(time.Millisecond)
				}
				if n := b.Count(objstore.OpDeleteMany); n != 0 {
					t.Errorf("%d requests delete many while the program removes", n)
				}
				v.rmdir("d")
				time.Sleep(time.Minute)
				if left := b.Snapshot(); len(left) != 1 {
					t.Errorf("%d objects are left", len(left))
				}
				got := mutations(b)
				if want := []string{"delete v/d/", "put v/"}; len(got) != 4 || !slices.Equal(got[2:], want) {
					t.Errorf("the requests are %q", got)
				}
				if lists := b.Count(objstore.OpList); lists > 2 {
					t.Errorf("%d listings", lists)
				}
			})
		})
	}
}

// TestDeleteManyMeetsOthers: of a batch, one object is another writer's by then, one is gone
// and one cannot be deleted; the rest goes.
func TestDeleteManyMeetsOthers(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]memory.Options{"conditional": {}, "unconditional": unconditional} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(o)
			bubble(t, b, func(v *volume) {
				filled(v, b, 10)
				for i := range 10 {
					v.unlink(fmt.Sprintf("d/%04d", i))
				}
				b.Set("v/d/0003", []byte("theirs"), objstore.Attributes{})
				b.Remove("v/d/0004")
				b.Inject(memory.Fault{Op: objstore.OpDelete, Key: "v/d/0005", Err: objstore.ErrAccessDenied})
				time.Sleep(300 * time.Millisecond)
				var left []string
				for key := range b.Snapshot() {
					left = append(left, key)
				}
				slices.Sort(left)
				if want := []string{"v/", "v/d/", "v/d/0003", "v/d/0005"}; !slices.Equal(left, want) {
					t.Errorf("left are %q", left)
				}
				v.drain()
				if got := v.names("d"); !slices.Equal(got, []string{"0003"}) || v.read("d/0003") != "theirs" {
					t.Errorf("the directory has %q", got)
				}
			})
		})
	}
}

// TestDeleteManyLost: after an answer that was lost the keys rest, so that a delete which is
// still executed finds nothing new of ours (hard-cases 7).
func TestDeleteManyLost(t *testing.T) {
	t.Parallel()
	b := memory.New(unconditional)
	bubble(t, b, func(v *volume) {
		filled(v, b, 10)
		for i := range 10 {
			v.unlink(fmt.Sprintf("d/%04d", i))
		}
		b.Inject(memory.Fault{Op: objstore.OpDeleteMany, Err: objstore.ErrUnavailable, Hook: func() {
			go func() {
				time.Sleep(objstore.BatchExpiry - time.Second)
				for i := range 10 {
					b.Remove(fmt.Sprintf("v/d/%04d", i))
				}
			}()
		}})
		time.Sleep(time.Second)
		for i := range 10 {
			v.write(fmt.Sprintf("d/%04d", i), "new")
		}
		time.Sleep(time.Minute)
		v.drain()
		for i := range 10 {
			if key := fmt.Sprintf("v/d/%04d", i); string(b.Snapshot()[key].Data) != "new" {
				t.Errorf("%s is not in the bucket", key)
			}
		}
		for _, r := range b.Requests() {
			if strings.HasPrefix(r.Key, "v/d/0") && r.Op == objstore.OpDelete {
				t.Errorf("%s of %s, which is wanted again", r.Op, r.Key)
			}
		}
	})
}
