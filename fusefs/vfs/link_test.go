package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

func (v *volume) link(from, to string) error {
	a, err := v.stat(from)
	if err != nil {
		return err
	}
	dir, name, err := v.at(to)
	if err != nil {
		return err
	}
	_, err = v.Link(context.Background(), a.Ino, dir, name)
	return err
}

// wantLinks fails unless all names are one file with so many links and this content.
func (v *volume) wantLinks(links uint32, content string, names ...string) {
	v.t.Helper()
	var ino vfs.Ino
	for _, name := range names {
		a, err := v.stat(name)
		want(v.t, err)
		if ino == 0 {
			ino = a.Ino
		}
		if a.Nlink != links || a.Ino != ino {
			v.t.Errorf("%s is inode %d with %d links, want %d with %d", name, a.Ino, a.Nlink, ino, links)
		}
		if got, err := v.read(name); err != nil || string(got) != content {
			v.t.Errorf("%s holds %.40q, %v, want %.40q", name, got, err, content)
		}
	}
}

// linkRecords returns what the bucket says of groups of hard links: how many names each has.
func linkRecords(b *memory.Bucket) []string {
	var counts []string
	for key, obj := range b.Snapshot() {
		if strings.Contains(key, "/links/") {
			counts = append(counts, obj.Metadata["objvol-links"])
		}
	}
	slices.Sort(counts)
	return counts
}

// stores are kinds of store, by what they cannot do.
var stores = map[string]memory.Options{
	"full": {},
	"poor": {Without: objstore.Capabilities{ListMetadata: true, CopyPart: true, ConditionalDelete: true}},
}

// TestLink: all names of a file are one file, here, in the bucket, and on a host that
// never saw them, whatever of them is looked at first.
func TestLink(t *testing.T) {
	for name, opts := range stores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := bucketOf(t, opts)
				v := open(t, bucket, t.TempDir())
				want(t, v.mkdir("d", 0o755))
				want(t, v.write("a", 0, []byte("first"), 0))
				want(t, v.link("a", "d/b"))
				want(t, v.link("d/b", "c"))
				v.wantLinks(3, "first", "a", "d/b", "c")
				v.drain()
				want(t, v.write("c", 0, []byte("second"), 0))
				v.wantLinks(3, "second", "a", "d/b", "c")
				mode := uint32(0o600)
				want(t, v.setattr("d/b", vfs.SetAttr{Mode: &mode}))
				v.drain()
				for _, key := range []string{"v/a", "v/d/b", "v/c"} {
					if obj := bucket.Snapshot()[key]; string(obj.Data) != "second" || obj.Metadata["mode"] != "33152" {
						t.Errorf("%s holds %q with %v", key, obj.Data, obj.Metadata)
					}
				}
				if got := linkRecords(bucket); !slices.Equal(got, []string{"3"}) {
					t.Errorf("the bucket counts %q links, want 3", got)
				}
				v.close()

				for _, order := range [][]string{{"a", "d/b", "c"}, {"d/b", "c", "a"}} {
					w := open(t, bucket, t.TempDir())
					w.wantLinks(3, "second", order...)
					w.drain()
					w.close()
				}
			})
		})
	}
}

// TestLinkIsFoundMeanwhile: a name that is looked up while it turns out to be one of several of
// a file is never an inode without a name.
func TestLinkIsFoundMeanwhile(t *testing.T) {
	const dirs = 200
	bucket := bucketOf(t, stores["poor"])
	v := open(t, bucket, t.TempDir())
	for i := range dirs {
		want(t, v.mkdir(fmt.Sprint(i), 0o755))
		want(t, v.write(fmt.Sprint(i, "/a"), 0, []byte("x"), 0))
		want(t, v.link(fmt.Sprint(i, "/a"), fmt.Sprint(i, "/b")))
	}
	v.drain()
	v.close()
	w := open(t, bucket, t.TempDir())
	bucket.Inject(memory.Fault{Op: objstore.OpHead, Count: memory.Forever, Delay: time.Millisecond})
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range dirs {
		dir, _, err := w.at(fmt.Sprint(i, "/b"))
		want(t, err)
		fh := handles.Add(1)
		want(t, w.OpenDir(t.Context(), dir, 0, fh))
		want(t, w.ReadDir(t.Context(), fh, 0, false, func(vfs.DirEntry) bool { return true }))
		w.ReleaseDir(fh)
		w.wantLinks(2, "x", fmt.Sprint(i, "/a"))
		found := make(chan struct{})
		var looking sync.WaitGroup
		looking.Go(func() {
			for looks := true; looks; {
				select {
				case <-found:
					looks = false
				default:
				}
				// One who does not wait until the object was asked for.
				if e, err := w.Lookup(impatient, dir, "b"); err == nil && e.Nlink != 2 {
					t.Errorf("%d/b is inode %d with %d links", i, e.Ino, e.Nlink)
				}
			}
		})
		w.wantLinks(2, "x", fmt.Sprint(i, "/b"))
		close(found)
		looking.Wait()
	}
}

// TestLinkInsteadOfRename: a file that got its name by a link, and lost its temporary one
// before any of it was sent, is one without hard links, by unlink and by a rename over it.
func TestLinkInsteadOfRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		_, err := v.names("")
		want(t, err)
		synctest.Wait()
		bucket.Forget()
		want(t, v.write("tmp", 0, []byte("one"), 0))
		want(t, v.link("tmp", "a"))
		want(t, v.unlink("tmp"))
		v.wantLinks(1, "one", "a")
		want(t, v.write("tmp", 0, []byte("two"), 0))
		want(t, v.link("tmp", "b"))
		want(t, v.link("tmp", "c"))
		want(t, v.write("other", 0, []byte("three"), 0))
		want(t, v.rename("other", "tmp"))
		v.wantLinks(2, "two", "b", "c")
		want(t, v.unlink("c"))
		want(t, v.link("b", "c"))
		want(t, v.rename("tmp", "c"))
		v.drain()
		within(t, bucket, "three files and the directory", budget{objstore.OpPut: 4})
		for key, want := range map[string]string{"v/a": "one", "v/b": "two", "v/c": "three"} {
			if obj := bucket.Snapshot()[key]; string(obj.Data) != want || obj.Metadata["objvol-link"] != "" {
				t.Errorf("%s holds %q with %v", key, obj.Data, obj.Metadata)
			}
		}
		want(t, v.link("a", "d")) // and it can have more again
		v.drain()
		v.wantLinks(2, "one", "a", "d")
		if got := linkRecords(bucket); !slices.Equal(got, []string{"2"}) {
			t.Errorf("the bucket counts %q links, want 2", got)
		}
		v.close()
		v = open(t, bucket, t.TempDir())
		defer v.close()
		v.wantLinks(2, "one", "a", "d")
		v.wantLinks(1, "two", "b")
	})
}

// TestLinkUnlink: the last name takes the file with it, the others leave it whole.
func TestLinkUnlink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		large := strings.Repeat("0123456789abcdef", 256<<10) // 4 MiB: copied in the store, not sent again
		want(t, v.write("a", 0, []byte(large), 0))
		v.drain()
		v.close()

		// On another host nothing of it is local: the new name's object is made of the old one's.
		v = open(t, bucket, t.TempDir())
		want(t, v.link("a", "b"))
		want(t, v.unlink("a"))
		v.drain()
		if got := bucket.Snapshot()["v/b"]; string(got.Data) != large {
			t.Errorf("b has %d bytes", len(got.Data))
		}
		v.wantLinks(1, large, "b")
		if got := linkRecords(bucket); !slices.Equal(got, []string{"1"}) {
			t.Errorf("the bucket counts %q links, want 1", got)
		}
		want(t, v.rename("b", "c"))
		want(t, v.link("c", "d"))
		want(t, v.rename("c", "d")) // nothing happens: they are the same file
		v.wantLinks(2, large, "c", "d")
		want(t, v.write("e", 0, []byte("over"), 0))
		want(t, v.rename("e", "d"))
		v.wantLinks(1, large, "c")
		v.wantLinks(1, "over", "d")
		v.drain()
		fh, err := v.open("c", syscall.O_RDWR, 0)
		want(t, err)
		want(t, v.unlink("c"))
		v.drain()
		if got := slices.Sorted(maps.Keys(bucket.Snapshot())); !slices.Equal(got, []string{"v/", "v/d"}) {
			t.Errorf("the bucket holds %q", got)
		}
		if got, err := v.readAll(fh); err != nil || string(got) != large {
			t.Errorf("the unlinked file reads %d bytes, %v", len(got), err)
		}
		v.Release(fh)
		v.close()
	})
}

// TestLinkCrash: whatever is in the bucket when a host is lost, the other finds one file
// under all names that are there.
func TestLinkCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		want(t, v.write("a", 0, []byte("older"), 0))
		want(t, v.link("a", "b"))
		v.drain()
		was := bucket.Snapshot()["v/b"]
		want(t, v.write("a", 0, []byte("newer"), 0))
		v.drain()
		v.close()
		bucket.Set("v/b", was.Data, was.Attributes) // as if this write had not been done

		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			w := open(t, bucket, t.TempDir())
			_, err := w.names("") // sees both
			want(t, err)
			w.wantLinks(2, "newer", order...)
			w.drain()
			w.close()
			if got := bucket.Snapshot()["v/b"]; string(got.Data) != "newer" {
				t.Errorf("b still holds %q", got.Data)
			}
			bucket.Set("v/b", was.Data, was.Attributes)
		}
	})
}

// TestLinkForeign: an object that another client changes is a file of its own, one that
// it deletes is a name less.
func TestLinkForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir(), shortly)
		defer v.close()
		want(t, v.write("a", 0, []byte("ours"), 0))
		for _, name := range []string{"b", "c", "d"} {
			want(t, v.link("a", name))
		}
		v.drain()
		before, err := v.stat("a")
		want(t, err)
		bucket.Set("v/a", []byte("theirs"), objstore.Attributes{})
		kept := bucket.Snapshot()["v/b"]
		bucket.Set("v/b", []byte("edited"), kept.Attributes) // with all that we wrote on it
		bucket.Remove("v/c")
		time.Sleep(2 * time.Second)
		_, err = v.names("")
		want(t, err)
		v.wantLinks(1, "theirs", "a")
		v.wantLinks(1, "edited", "b")
		v.wantLinks(1, "ours", "d")
		if _, err := v.stat("c"); !errors.Is(err, vfs.ErrNotExist) {
			t.Errorf("c is there: %v", err)
		}
		if d, err := v.stat("d"); err != nil || d.Ino != before.Ino {
			t.Errorf("the file that is left is inode %d, was %d: %v", d.Ino, before.Ino, err)
		}
		want(t, v.write("d", 0, []byte("more"), 0))
		v.drain()
		for key, data := range map[string]string{"v/a": "theirs", "v/b": "edited", "v/d": "more"} {
			if got := bucket.Snapshot()[key]; string(got.Data) != data {
				t.Errorf("%s holds %q", key, got.Data)
			}
		}
		if got := linkRecords(bucket); !slices.Equal(got, []string{"1"}) {
			t.Errorf("the bucket counts %q links, want 1", got)
		}
	})
}

// TestLinkConflict: what we wrote keeps its other names when one meets another writer's object.
func TestLinkConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		defer v.close()
		want(t, v.write("a", 0, []byte("ours"), 0))
		want(t, v.link("a", "b"))
		v.drain()
		bucket.Set("v/a", []byte("theirs"), objstore.Attributes{})
		want(t, v.write("b", 0, []byte("ours again"), 0))
		v.drain()
		v.wantLinks(1, "theirs", "a")
		v.wantLinks(1, "ours again", "b")
	})
}

func TestLinkRefused(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	defer v.close()
	want(t, v.mkdir("d", 0o755))
	want(t, v.write("a", 0, []byte("x"), 0))
	for _, tc := range []struct {
		from, to string
		want     error
	}{
		{"a", "a", vfs.ErrExist},
		{"a", "d", vfs.ErrExist},
		{"d", "e", vfs.ErrNotPermitted},
		{"none", "e", vfs.ErrNotExist},
		{"a", "none/e", vfs.ErrNotExist},
		{"a", strings.Repeat("x", 256), vfs.ErrNameTooLong},
	} {
		if err := v.link(tc.from, tc.to); !errors.Is(err, tc.want) {
			t.Errorf("link %s %.20s: %v, want %v", tc.from, tc.to, err, tc.want)
		}
	}
	v.wantLinks(1, "x", "a")
}

// TestLinkDirectoryMoved: names below a renamed directory stay names of their file.
func TestLinkDirectoryMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir())
		want(t, v.mkdir("d", 0o755))
		want(t, v.mkdir("d/e", 0o755))
		for i := range 5 {
			name := fmt.Sprintf("d/e/%d", i)
			want(t, v.write(name, 0, bytes.Repeat([]byte{byte('0' + i)}, 100), 0))
			want(t, v.link(name, fmt.Sprintf("d/%d", i)))
			want(t, v.link(name, fmt.Sprintf("top%d", i)))
		}
		v.drain()
		want(t, v.rename("d", "f"))
		check := func(v *volume) {
			for i := range 5 {
				v.wantLinks(3, strings.Repeat(string(rune('0'+i)), 100), fmt.Sprintf("f/e/%d", i), fmt.Sprintf("f/%d", i), fmt.Sprintf("top%d", i))
			}
		}
		check(v)
		v.drain()
		v.close()
		v = open(t, bucket, t.TempDir())
		check(v)
		v.close()
	})
}
