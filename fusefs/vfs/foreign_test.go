package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// shortly makes a volume that believes a listing for a second.
func shortly(c *vfs.Config) { c.TTL = time.Second }

// TestForeignChanges: what another client puts, changes and deletes is seen within ttl.
func TestForeignChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		bucket.Set("v/old", []byte("first"), objstore.Attributes{})
		bucket.Set("v/dir/deep", []byte("deep"), objstore.Attributes{})
		v := open(t, bucket, t.TempDir(), shortly)
		defer v.close()

		if got, err := v.read("old"); err != nil || string(got) != "first" {
			t.Fatalf("old is %q, %v", got, err)
		}
		a, err := v.stat("old")
		want(t, err)
		if a.Mode != syscall.S_IFREG|0o644 {
			t.Errorf("an object without metadata has mode %o", a.Mode)
		}
		bucket.Set("v/old", []byte("second version"), objstore.Attributes{})
		bucket.Set("v/new", []byte("new"), objstore.Attributes{Metadata: map[string]string{"mode": "33152", "uid": "7", "mtime": "1000000000.000000005"}})
		bucket.Remove("v/dir/deep")
		time.Sleep(2 * time.Second)

		if got, err := v.read("old"); err != nil || string(got) != "second version" {
			t.Errorf("old is %q, %v", got, err)
		}
		b, err := v.stat("old")
		want(t, err)
		if b.Ino != a.Ino {
			t.Errorf("a changed object became inode %d, was %d", b.Ino, a.Ino)
		}
		n, err := v.stat("new")
		want(t, err)
		if n.Mode != syscall.S_IFREG|0o600 || n.UID != 7 || !n.Mtime.Equal(time.Unix(1e9, 5)) {
			t.Errorf("new is %+v", n)
		}
		names, err := v.names("")
		want(t, err)
		if !slices.Equal(slices.Sorted(slices.Values(names)), []string{"new", "old"}) {
			t.Errorf("the volume lists %q", names)
		}
	})
}

// TestForeignChangeOfOwnFile: another client's version of a file that we wrote replaces
// it, and its deletion removes it.
func TestForeignChangeOfOwnFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		v := open(t, bucket, t.TempDir(), shortly)
		defer v.close()
		want(t, v.write("f", 0, []byte("ours"), 0))
		want(t, v.write("g", 0, []byte("ours"), 0))
		v.drain()
		bucket.Set("v/f", []byte("theirs now"), objstore.Attributes{})
		bucket.Remove("v/g")
		time.Sleep(2 * time.Second)
		if got, err := v.read("f"); err != nil || string(got) != "theirs now" {
			t.Errorf("f is %q, %v", got, err)
		}
		if _, err := v.stat("g"); !errors.Is(err, vfs.ErrNotExist) {
			t.Errorf("g after its deletion: %v", err)
		}
		if v.State().Conflicts != 0 {
			t.Error("a change of a clean file is no conflict")
		}
	})
}

// TestForeignAttributesOfOwnFile: other attributes that another client gives to an object
// of ours, with the same bytes and so the same ETag, are seen although the object was
// never listed before.
func TestForeignAttributesOfOwnFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{ContentETags: true})
		v := open(t, bucket, t.TempDir(), shortly)
		defer v.close()
		want(t, v.write("f", 0, []byte("same"), 0))
		want(t, v.write("g", 0, []byte("same"), 0))
		want(t, v.write("h", 0, []byte("same"), 0))
		v.drain()
		before, err := v.stat("g")
		want(t, err)
		stored := bucket.Snapshot()["v/f"]
		attrs := stored.Attributes
		attrs.Metadata = maps.Clone(attrs.Metadata)
		attrs.Metadata["mode"], attrs.Metadata["uid"] = "33024", "21"
		bucket.Set("v/f", stored.Data, attrs)
		stored = bucket.Snapshot()["v/h"]
		attrs = stored.Attributes
		attrs.Metadata = maps.Clone(attrs.Metadata)
		attrs.Metadata["xattr"] = `{"user.theirs":"eA=="}`
		bucket.Set("v/h", stored.Data, attrs)
		time.Sleep(2 * time.Second)
		_, err = v.names("")
		want(t, err)
		f, err := v.stat("f")
		want(t, err)
		if f.Mode != syscall.S_IFREG|0o400 || f.UID != 21 {
			t.Errorf("f has mode %o of %d", f.Mode, f.UID)
		}
		if got := v.xattrs("h"); got != `user.theirs="x"` {
			t.Errorf("h has the extended attributes %s", got)
		}
		if g, err := v.stat("g"); err != nil || g != before {
			t.Errorf("g is %+v, %v, was %+v", g, err, before)
		}
	})
}

// TestFileBesideDirectory: of a key "a" and keys below "a/" the directory is shown.
func TestFileBesideDirectory(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/a", []byte("hidden"), objstore.Attributes{})
	bucket.Set("v/a-", []byte("between the two in a listing"), objstore.Attributes{})
	bucket.Set("v/a/b", []byte("shown"), objstore.Attributes{})
	for _, key := range []string{"v//x", "v/../x", "v/./x", "v/d//e"} {
		bucket.Set(key, []byte("no name"), objstore.Attributes{})
	}
	v := open(t, bucket, t.TempDir())
	names, err := v.names("")
	want(t, err)
	if !slices.Equal(slices.Sorted(slices.Values(names)), []string{"a", "a-"}) {
		t.Errorf("the volume lists %q", names)
	}
	if got, err := v.read("a/b"); err != nil || string(got) != "shown" {
		t.Errorf("a/b is %q, %v", got, err)
	}
	want(t, v.unlink("a/b"))
	v.drain()
	if _, kept := bucket.Snapshot()["v/a"]; !kept {
		t.Error("the hidden object was deleted")
	}
}

// TestLookupDoesNotWaitForListing: one name of a large directory is found while its
// listing is still under way (hard-cases 15).
func TestLookupDoesNotWaitForListing(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/f", []byte("found"), objstore.Attributes{})
	release := make(chan struct{})
	bucket.Inject(memory.Fault{Op: objstore.OpList, Key: "v/", Count: memory.Forever, Hook: func() { <-release }})
	v := open(t, bucket, t.TempDir())
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := v.Lookup(ctx, vfs.Root, "f"); err != nil {
		t.Error("a name that exists:", err)
	}
	if _, err := v.Lookup(ctx, vfs.Root, "none"); !errors.Is(err, vfs.ErrNotExist) {
		t.Error("a name that does not:", err)
	}
}

// TestStaleAnswers: when the store does not answer, what is known is served, and counted.
func TestStaleAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		bucket.Set("v/f", []byte("known"), objstore.Attributes{})
		v := open(t, bucket, t.TempDir(), shortly)
		defer v.close()
		if _, err := v.read("f"); err != nil {
			t.Fatal(err)
		}
		_, err := v.names("")
		want(t, err)
		bucket.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrUnavailable})
		time.Sleep(time.Minute)
		if got, err := v.read("f"); err != nil || string(got) != "known" {
			t.Errorf("f is %q, %v", got, err)
		}
		if v.State().Stale == 0 {
			t.Error("a stale answer was not counted")
		}
	})
}

// TestLargeObject: a partly fetched file is written, cut and grown; what it never fetched
// keeps the object's bytes, and what was cut off comes back as zeros (hard-cases 35).
func TestLargeObject(t *testing.T) {
	const size = 20 << 20
	base := make([]byte, size)
	for i := range base {
		base[i] = byte(i >> 12)
	}
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/big", base, objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	expect := bytes.Clone(base)

	want(t, v.write("big", 9<<20, []byte("inside"), 0))
	copy(expect[9<<20:], "inside")
	if n := bucket.Count(objstore.OpGet); n != 0 {
		t.Errorf("a write fetched %d times", n)
	}
	cut, grown := int64(15<<20), int64(17<<20)
	want(t, v.setattr("big", vfs.SetAttr{Size: &cut}))
	want(t, v.setattr("big", vfs.SetAttr{Size: &grown}))
	expect = append(expect[:cut], make([]byte, grown-cut)...)
	got, err := v.read("big")
	want(t, err)
	if !bytes.Equal(got, expect) {
		t.Fatal("the content differs")
	}
	v.drain()
	if !bytes.Equal(bucket.Snapshot()["v/big"].Data, expect) {
		t.Fatal("the object differs")
	}
}

// TestEviction: clean content stays within the cache's size, and comes back when read.
func TestEviction(t *testing.T) {
	const file, count = 1 << 20, 8
	bucket := bucketOf(t, memory.Options{})
	for i := range count {
		bucket.Set("v/"+string(rune('a'+i)), bytes.Repeat([]byte{byte(i)}, file), objstore.Attributes{})
	}
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CacheSize = 3 * file })
	for range 2 {
		for i := range count {
			got, err := v.read(string(rune('a' + i)))
			want(t, err)
			if !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, file)) {
				t.Fatalf("file %d differs", i)
			}
		}
	}
	waitFor(t, "the cache to shrink", func() bool { return v.State().CacheBytes <= 3*file })
	if n := bucket.Count(objstore.OpGet); n <= count {
		t.Errorf("%d files were fetched %d times: nothing was evicted", count, n)
	}
}

// TestDirtyIsNotEvicted: content that the bucket does not have stays.
func TestDirtyIsNotEvicted(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Inject(memory.Fault{Op: objstore.OpPut, Count: memory.Forever, Err: objstore.ErrUnavailable})
	v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.CacheSize = 1 << 10 })
	for _, name := range []string{"a", "b", "c"} {
		want(t, v.write(name, 0, bytes.Repeat([]byte(name), 1<<16), 0))
	}
	for _, name := range []string{"a", "b", "c"} {
		if got, err := v.read(name); err != nil || string(got) != strings.Repeat(name, 1<<16) {
			t.Errorf("%s is lost: %v", name, err)
		}
	}
}

// waitFor polls for what background work will bring about.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for", what)
		}
	}
}

// TestSequentialRead: a large object that is read in order is fetched ahead, each byte
// once.
func TestSequentialRead(t *testing.T) {
	const size = 40 << 20
	base := make([]byte, size)
	for i := range base {
		base[i] = byte(i >> 11)
	}
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/big", base, objstore.Attributes{})
	var together, most atomic.Int32
	bucket.Inject(memory.Fault{Op: objstore.OpGet, Count: memory.Forever, Hook: func() {
		if n := together.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		together.Add(-1)
	}})
	v := open(t, bucket, t.TempDir())
	got, err := v.read("big")
	want(t, err)
	if !bytes.Equal(got, base) {
		t.Fatal("the content differs")
	}
	if n := bucket.Count(objstore.OpGet); n > 14 {
		t.Errorf("40 MiB were fetched in %d requests", n)
	}
	if s := v.State(); s.CacheBytes != size {
		t.Errorf("%d bytes are in the cache", s.CacheBytes)
	}
	if most.Load() < 2 {
		t.Error("nothing was fetched ahead")
	}
}

// TestForeignChangeBesideAnOlderAnswer: that a directory's listing goes by an answer which
// was there before makes it older, not slow: what is slow is believed for longer.
func TestForeignChangeBesideAnOlderAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 10 * time.Second
		bucket := bucketOf(t, memory.Options{})
		bucket.Set("v/one/f", []byte("x"), objstore.Attributes{})
		bucket.Set("v/two/f", []byte("x"), objstore.Attributes{})
		v := open(t, bucket, t.TempDir(), func(c *vfs.Config) { c.TTL = ttl })
		defer v.close()
		_, err := v.names("one")
		want(t, err)
		time.Sleep(ttl / 5)
		_, err = v.names("two")
		want(t, err)
		bucket.Set("v/two/new", []byte("x"), objstore.Attributes{})
		time.Sleep(ttl + time.Second)
		if names, err := v.names("two"); err != nil || !slices.Contains(names, "new") {
			t.Errorf("after the ttl the directory has %q, %v", names, err)
		}
	})
}
