package vfs_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// files puts numbered files into the directory d, each with its number.
func files(b *memory.Bucket, from, to, step int) {
	for i := from; i < to; i += step {
		b.Set(fmt.Sprintf("v/d/f%04d", i), []byte(strconv.Itoa(i)), objstore.Attributes{})
	}
}

// readFile reads one of them.
func readFile(t *testing.T, v *volume, i int) {
	t.Helper()
	if got, err := v.read(fmt.Sprintf("d/f%04d", i)); err != nil || string(got) != strconv.Itoa(i) {
		t.Errorf("file %d: %q, %v", i, got, err)
	}
}

// away makes every Get take a while.
func away(b *memory.Bucket) {
	b.Inject(memory.Fault{Op: objstore.OpGet, Count: memory.Forever, Delay: 20 * time.Millisecond})
}

// TestFilesInOrder: the small files of a directory that is read in order are fetched ahead,
// each once, whether the order is that of the names, of readdir, or shared by threads.
func TestFilesInOrder(t *testing.T) {
	const count = 400
	orders := map[string]func(v *volume) [][]string{
		"names": func(*volume) [][]string {
			var names []string
			for i := range count {
				names = append(names, fmt.Sprintf("f%04d", i))
			}
			return [][]string{names}
		},
		"readdir": func(v *volume) [][]string {
			names, err := v.names("d")
			want(v.t, err)
			return [][]string{names}
		},
		"threads": func(*volume) [][]string {
			threads := make([][]string, 4)
			for i := range count {
				threads[i%4] = append(threads[i%4], fmt.Sprintf("f%04d", i))
			}
			return threads
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bucketOf(t, memory.Options{})
				// The second half of the names comes behind the first in readdir, and between
				// it by name.
				files(b, 1, count, 2)
				v := open(t, b, t.TempDir(), func(c *vfs.Config) { c.TTL = time.Minute })
				defer v.close()
				_, err := v.names("d")
				want(t, err)
				files(b, 0, count, 2)
				time.Sleep(time.Hour)
				_, err = v.names("d")
				want(t, err)
				synctest.Wait()
				away(b)
				b.Forget()
				var threads sync.WaitGroup
				begun := time.Now()
				for _, names := range order(v) {
					threads.Go(func() {
						for _, name := range names {
							i, _ := strconv.Atoi(name[1:])
							readFile(t, v, i)
						}
					})
				}
				threads.Wait()
				rounds := time.Since(begun) / (20 * time.Millisecond)
				most := 0 // a thread that falls behind may find what was fetched given up
				if name == "threads" {
					most = count / 20
				}
				within(t, b, "read all files", budget{objstore.OpGet: count + most})
				s := v.State()
				if s.Ahead < count*9/10 || rounds > count/10 || s.Wasted > int64(most) {
					t.Errorf("%d of %d files were fetched ahead, %d in vain; the reader waited for %d answers", s.Ahead, count, s.Wasted, rounds)
				}
			})
		})
	}
}

// TestFilesInNoOrder: files that are read in no order fetch nothing but themselves.
func TestFilesInNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 2000
		b := bucketOf(t, memory.Options{})
		files(b, 0, count, 1)
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("d")
		want(t, err)
		rng := rand.New(rand.NewPCG(5, 6))
		for _, i := range rng.Perm(count)[:200] {
			readFile(t, v, i)
		}
		if s := v.State(); s.Ahead > 0 {
			t.Errorf("%d files were fetched ahead", s.Ahead)
		}
	})
}

// TestFilesNobodyReads: what was fetched ahead of a reader who leaves is counted, and ends
// with him.
func TestFilesNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, read = 2000, 20
		b := bucketOf(t, memory.Options{})
		files(b, 0, count, 1)
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("d")
		want(t, err)
		away(b)
		for i := range read {
			readFile(t, v, i)
		}
		readFile(t, v, 1000)
		synctest.Wait()
		s := v.State()
		if left := s.Ahead - s.Wasted; s.Ahead == 0 || s.Wasted == 0 || left > read || s.WastedBytes == 0 {
			t.Errorf("%d files were fetched ahead, %d in vain", s.Ahead, s.Wasted)
		}
		b.Forget()
		for _, i := range []int{100, 900, 300, 1500, 200} {
			readFile(t, v, i)
		}
		within(t, b, "read files here and there", budget{objstore.OpGet: 5})
	})
}

// TestFilesNotFetchedAhead: large files are not, nor is anything where the cache has no room
// for it.
func TestFilesNotFetchedAhead(t *testing.T) {
	cases := map[string]struct {
		size  int
		cache int64
		dirty int
	}{
		"large files":          {size: 2 << 20, cache: 1 << 30},
		"small cache":          {size: 10, cache: 16 << 20},
		"cache of dirty files": {size: 10, cache: 64 << 20, dirty: 40 << 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bucketOf(t, memory.Options{})
				for i := range 20 {
					b.Set(fmt.Sprintf("v/d/f%04d", i), make([]byte, c.size), objstore.Attributes{})
				}
				v := open(t, b, t.TempDir(), func(cfg *vfs.Config) { cfg.CacheSize = c.cache })
				defer v.close()
				_, err := v.names("d")
				want(t, err)
				if c.dirty > 0 {
					b.Inject(memory.Fault{Op: objstore.OpPut, Count: memory.Forever, Delay: time.Hour})
					b.Inject(memory.Fault{Op: objstore.OpCreateUpload, Count: memory.Forever, Delay: time.Hour})
					want(t, v.write("dirty", 0, make([]byte, c.dirty), 0))
				}
				for i := range 20 {
					_, err := v.read(fmt.Sprintf("d/f%04d", i))
					want(t, err)
				}
				if s := v.State(); s.Ahead > 0 {
					t.Errorf("%d files were fetched ahead", s.Ahead)
				}
			})
		})
	}
}

// TestFilesAheadOfTheEnd: closing the volume ends what is fetched ahead.
func TestFilesAheadOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		files(b, 0, 500, 1)
		s := &slow{Bucket: b, let: make(chan struct{}), first: 1 << 20}
		v := open(t, s, t.TempDir())
		_, err := v.names("d")
		want(t, err)
		for i := range 10 {
			readFile(t, v, i)
		}
		b.Inject(memory.Fault{Op: objstore.OpGet, Count: memory.Forever, Delay: time.Hour})
		var readers sync.WaitGroup
		readers.Go(func() { _, _ = v.read("d/f0400") }) // in vain
		for i := range 4 {
			readers.Go(func() { _, _ = v.read(fmt.Sprintf("d/f%04d", 10+i)) })
		}
		synctest.Wait()
		begun := time.Now()
		v.Close()
		if waited := time.Since(begun); waited > time.Minute {
			t.Errorf("the end took %v", waited)
		}
		readers.Wait() // they still ask the index
		v.close()
	})
}

// TestEntriesBothWays: a directory's names come in the order of readdir and of their bytes.
func TestEntriesBothWays(t *testing.T) {
	v := open(t, bucketOf(t, memory.Options{}), t.TempDir())
	for _, name := range []string{"b", "a", "c", "ab"} {
		want(t, v.write(name, 0, []byte(name), 0))
	}
	var names []string
	_, err := v.Lookup(context.Background(), vfs.Root, "a")
	want(t, err)
	want(t, v.index.DirentsByName(vfs.Root, "a", func(d index.Dirent) bool { names = append(names, d.Name); return true }))
	if !slices.Equal(names, []string{"ab", "b", "c"}) {
		t.Errorf("behind a: %q", names)
	}
	d, err := v.index.Entry(vfs.Root, "ab")
	if err != nil || d.Name != "ab" || d.Cookie == 0 {
		t.Errorf("entry %+v, %v", d, err)
	}
}
