package vfs_test

import (
	"fmt"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// dcache remembers names for as long as it is told to, as the kernel does.
type dcache struct {
	*volume
	until   map[string]time.Time
	asked   int
	waited  int           // of these, how many were not answered at once
	longest time.Duration // for which it was told to remember one
}

func (v *volume) dcache() *dcache { return &dcache{volume: v, until: make(map[string]time.Time)} }

// stat looks at a file in a directory.
func (k *dcache) stat(dir vfs.Ino, at, name string) {
	k.t.Helper()
	file := path.Join(at, name)
	if time.Now().Before(k.until[file]) {
		return
	}
	began := time.Now()
	e, err := k.Lookup(k.t.Context(), dir, name)
	want(k.t, err)
	k.asked++
	if time.Since(began) > 0 {
		k.waited++
	}
	k.longest = max(k.longest, e.EntryTTL)
	k.until[file] = time.Now().Add(e.EntryTTL)
}

// TestInUse: what programs use all the time is listed again before its time is over, so that
// none of them waits; what nobody uses is not.
func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			ttl   = 10 * time.Second
			spell = time.Minute
			dirs  = 20
			files = 5
		)
		b := bucketOf(t, memory.Options{})
		fill(b, dirs, files)
		v := open(t, b, t.TempDir(), func(c *vfs.Config) { c.TTL = ttl })
		defer v.close()
		inos := make([]vfs.Ino, dirs)
		for d := range dirs {
			a, err := v.stat(fmt.Sprintf("d%d", d))
			want(t, err)
			inos[d] = a.Ino
			_, err = v.names(fmt.Sprintf("d%d", d))
			want(t, err)
		}
		b.Inject(memory.Fault{Op: objstore.OpList, Count: memory.Forever, Delay: 50 * time.Millisecond})
		b.Forget()
		k := v.dcache()
		for began := time.Now(); time.Since(began) < spell; time.Sleep(300 * time.Millisecond) {
			for d := range dirs {
				for f := range files {
					k.stat(inos[d], fmt.Sprintf("d%d", d), fmt.Sprintf("f%d", f))
				}
			}
		}
		synctest.Wait()
		lists := b.Count(objstore.OpList)
		t.Logf("%d lookups, %d of them waited, %d listings", k.asked, k.waited, lists)
		if k.waited > 0 {
			t.Errorf("%d of %d lookups waited for a listing", k.waited, k.asked)
		}
		if k.longest > ttl {
			t.Errorf("a name may be remembered for %v", k.longest)
		}
		b.Forget()
		time.Sleep(spell)
		if n := b.Count(objstore.OpList); n > 0 {
			t.Errorf("%d listings for nobody", n)
		}
	})
}
