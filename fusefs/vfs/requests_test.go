package vfs_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// budget is how many requests of each kind an operation may cost.
type budget map[string]int

// within fails unless the requests since the last call are within a budget.
func within(t *testing.T, b *memory.Bucket, what string, most budget) {
	t.Helper()
	synctest.Wait()
	got := make(budget)
	for _, r := range b.Requests() {
		got[r.Op]++
	}
	b.Forget()
	for op, n := range got {
		if n > most[op] {
			t.Errorf("%s: %d requests of %s, at most %d are allowed", what, n, op, most[op])
		}
	}
}

// fill puts plain objects into directories of a bucket.
func fill(b *memory.Bucket, dirs, files int) {
	for d := range dirs {
		for f := range files {
			b.Set(fmt.Sprintf("v/d%d/f%d", d, f), []byte("x"), objstore.Attributes{})
		}
	}
}

// TestRequests: what operations cost in requests.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		fill(b, 3, 2500)
		v := open(t, b, t.TempDir())
		defer v.close()
		within(t, b, "open the volume", budget{objstore.OpHead: 1, objstore.OpList: 1})

		// Two looks for each of two names, at the directory's marker and at whether there is
		// anything in it; behind them the listings of the root, of the directory (a short page and
		// 3 more), and of names in overflow form.
		_, err := v.stat("d0/f7")
		want(t, err)
		within(t, b, "stat a file, cold", budget{objstore.OpHead: 3, objstore.OpList: 9})
		_, err = v.stat("d0/f8")
		want(t, err)
		_, err = v.names("d0")
		want(t, err)
		within(t, b, "stat and list, warm", nil)
		_, err = v.names("d1")
		want(t, err)
		within(t, b, "list 2,500 files, cold", budget{objstore.OpHead: 1, objstore.OpList: 4})

		_, err = v.read("d0/f7")
		want(t, err)
		within(t, b, "read a small file, cold", budget{objstore.OpGet: 1})
		_, err = v.read("d0/f7")
		want(t, err)
		within(t, b, "read a small file, warm", nil)
	})
}

// TestRequestsOfLooks: who looks at names of a directory that was never listed is answered by
// the first of them that its listing brings, in a page that is short, while the others are on
// their way.
func TestRequestsOfLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		files(b, 0, 1000, 1)
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.stat("d")
		want(t, err)
		synctest.Wait()
		b.Inject(memory.Fault{Op: objstore.OpList, Key: "v/d/", Nth: 2, Delay: time.Second})
		_, err = v.stat("d/f0000")
		want(t, err)
		synctest.Wait()
		b.Forget()
		for i := range 200 {
			_, err := v.stat(fmt.Sprintf("d/f%04d", i))
			want(t, err)
		}
		within(t, b, "look at 200 names before all are listed", nil)
		_, err = v.stat("d/f0999")
		want(t, err)
		if b.Count(objstore.OpHead) == 0 {
			t.Error("the first page has all 1,000 names")
		}
		within(t, b, "look at one that is not listed yet", budget{objstore.OpHead: 1, objstore.OpList: 1})
		names, err := v.names("d")
		if err != nil || len(names) != 1000 {
			t.Errorf("%d names are listed, %v", len(names), err)
		}
		within(t, b, "the others", budget{objstore.OpList: 1})
	})
}

// TestRequestsOfChanges: what changes cost until the bucket has them. A directory's marker
// follows a change of its names once.
func TestRequestsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("")
		want(t, err)
		synctest.Wait()
		b.Forget()

		want(t, v.mkdir("d", 0o755))
		want(t, v.write("d/f", 0, []byte("content"), 0))
		mode, at := uint32(0o600), time.Unix(1e9, 0)
		want(t, v.setattr("d/f", vfs.SetAttr{Mode: &mode, Mtime: &at}))
		want(t, v.rename("d/f", "d/g"))
		within(t, b, "create, write, chmod, utimes and rename before it is sent", nil)
		v.drain()
		within(t, b, "all of that, sent", budget{objstore.OpPut: 3})

		const files = 1000
		want(t, v.mkdir("tree", 0o755))
		for i := range files {
			want(t, v.write(fmt.Sprintf("tree/%d", i), 0, []byte("content"), 0))
		}
		v.drain()
		within(t, b, "1,000 new files", budget{objstore.OpPut: files + 3})

		want(t, v.rename("tree", "moved"))
		v.drain()
		within(t, b, "rename of a directory of 1,000 small files", budget{objstore.OpPut: files + 2, objstore.OpDeleteMany: 8, objstore.OpDelete: 4})

		for i := range files {
			want(t, v.unlink(fmt.Sprintf("moved/%d", i)))
		}
		want(t, v.rmdir("moved"))
		v.drain()
		within(t, b, "rm -r of 1,000 files", budget{objstore.OpPut: 1, objstore.OpDeleteMany: 2, objstore.OpDelete: 1})
	})
}

// TestRequestsOfDeletes: where the store does not compare ETags itself, a listing does it
// for all that go together, and a look for one that goes alone.
func TestRequestsOfDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}})
		fill(b, 2, 1000)
		v := open(t, b, t.TempDir())
		defer v.close()
		for _, dir := range []string{"d0", "d1"} {
			_, err := v.names(dir)
			want(t, err)
		}
		synctest.Wait()
		b.Forget()
		for dir := range 2 {
			for i := range 1000 {
				a, err := v.stat(fmt.Sprintf("d%d/f%d", dir, i))
				want(t, err)
				want(t, v.unlink(fmt.Sprintf("d%d/f%d", dir, i)))
				v.Forget(a.Ino, 1)
			}
			want(t, v.rmdir(fmt.Sprintf("d%d", dir)))
		}
		v.drain()
		within(t, b, "rm -r of 2,000 files", budget{objstore.OpPut: 1, objstore.OpList: 4, objstore.OpDeleteMany: 3, objstore.OpDelete: 1, objstore.OpHead: 1})
	})
}

// TestRequestsOfLargeFiles: a large file is copied inside the store when it is renamed, and
// nothing of it is sent again.
func TestRequestsOfLargeFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("")
		want(t, err)
		want(t, v.write("f", 0, make([]byte, 40<<20), 0))
		b.Forget()
		v.drain()
		within(t, b, "40 MiB", budget{objstore.OpCreateUpload: 1, objstore.OpUploadPart: 3, objstore.OpCompleteUpload: 1, objstore.OpPut: 1})
		want(t, v.rename("f", "g"))
		v.drain()
		within(t, b, "rename of 40 MiB", budget{
			objstore.OpCreateUpload: 1, objstore.OpCopyPart: 1, objstore.OpCompleteUpload: 1, objstore.OpDelete: 1, objstore.OpPut: 1,
		})
		fh, err := v.open("g", 0, 0)
		want(t, err)
		want(t, v.Fsync(context.Background(), fh, false))
		v.Release(fh)
		within(t, b, "fsync of what the bucket has", nil)
	})
}

// TestRequestsOfSmallChanges: a small change in a large file sends the part that it lies
// in, and fetches no other if the file is not on this host.
func TestRequestsOfSmallChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucketOf(t, memory.Options{})
		const size, at = 64 << 20, 20 << 20
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i >> 20)
		}
		b.Set("v/f", content, objstore.Attributes{})
		b.Set("v/", nil, objstore.Attributes{})
		v := open(t, b, t.TempDir())
		defer v.close()
		_, err := v.names("")
		want(t, err)
		synctest.Wait()
		b.Forget()
		change := bytes.Repeat([]byte{'x'}, 4<<10)
		copy(content[at:], change)
		changed := budget{objstore.OpCreateUpload: 1, objstore.OpUploadPart: 1, objstore.OpCopyPart: 3, objstore.OpCompleteUpload: 1}

		want(t, v.write("f", at, change, 0))
		v.drain()
		changed[objstore.OpGet] = 5  // of 4 MiB each, around the change
		changed[objstore.OpHead] = 1 // a listing shows no headers
		within(t, b, "4 KiB in 64 MiB that are not on this host", changed)
		if got, err := v.read("f"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("other bytes are read, error %v", err)
		}
		within(t, b, "reading the rest", budget{objstore.OpGet: 12})

		want(t, v.write("f", at, change, 0))
		v.drain()
		changed[objstore.OpGet], changed[objstore.OpHead] = 0, 0
		within(t, b, "the same again, all of it on this host", changed)

		want(t, v.write("f", size, change, 0))
		v.drain()
		within(t, b, "4 KiB appended", changed)
		if got := b.Snapshot()["v/f"]; !bytes.Equal(got.Data, append(content, change...)) {
			t.Error("other bytes are in the bucket")
		}
	})
}
