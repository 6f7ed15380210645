package writeback_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// parts is a content of several parts that differ.
func parts(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(string(rune('a'+i)), smallPart))
	}
	return b.String()
}

// writeAt changes bytes of a file.
func (v *volume) writeAt(p string, off int64, data string) {
	v.t.Helper()
	fh := v.openFile(p, 0)
	defer v.Release(fh)
	_, err := v.Write(v.t.Context(), fh, off, []byte(data))
	v.must(err)
}

// A store that copies no parts, although it seemed to, is sent everything.
func TestRefusedCopyOfAPart(t *testing.T) {
	t.Parallel()
	for _, refused := range []memory.Fault{
		{Op: objstore.OpCopyPart, Err: objstore.ErrInvalid},
		{Op: objstore.OpCopyPart, Err: objstore.ErrPreconditionFailed},
		{Op: objstore.OpCopyPart, Err: objstore.ErrNotFound},
		{Op: objstore.OpCompleteUpload, Err: objstore.ErrInvalid},
	} {
		b := memory.New(memory.Options{MinPartSize: smallPart / 3})
		bubble(t, b, func(v *volume) {
			b.Set("v/a", []byte(parts(8)), objstore.Attributes{})
			b.Inject(refused)
			v.writeAt("a", 2*smallPart, "changed")
			v.drain()
			v.quiet()
			want := parts(8)
			v.wantObject(b, "v/a", want[:2*smallPart]+"changed"+want[2*smallPart+7:])
			if b.Count(objstore.OpCopyPart) == 0 || len(b.Uploads()) > 0 {
				t.Errorf("%d parts were to be copied, uploads left: %v", b.Count(objstore.OpCopyPart), b.Uploads())
			}
		}, inSmallParts)
	}
}

// What another writer puts under a file of which parts are only there is his. Ours is kept
// with what this host has of it (hard-cases 22).
func TestPartsOfAReplacedObject(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{MinPartSize: smallPart / 3})
	bubble(t, b, func(v *volume) {
		b.Set("v/a", []byte(parts(8)), objstore.Attributes{})
		v.writeAt("a", 2*smallPart, "changed")
		b.Set("v/a", []byte(strings.Repeat("theirs", 100)), objstore.Attributes{})
		v.drain()
		if n := v.State().Conflicts; n != 1 {
			t.Errorf("%d conflicts", n)
		}
		v.wantObject(b, "v/a", strings.Repeat("theirs", 100))
		ours := keys(b, "v/a.conflict")
		if len(ours) != 1 {
			t.Fatalf("kept are %q", ours)
		}
		zeros := func(n int) string { return strings.Repeat("\x00", n) }
		v.wantObject(b, ours[0], zeros(2*smallPart)+"changed"+zeros(6*smallPart-7))
	}, inSmallParts)
}

// A name that other objects wait for is left only when the parts that lie there were copied
// (hard-cases 8, 22).
func TestPartsOfAMovedFile(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{MinPartSize: smallPart / 3})
	bubble(t, b, func(v *volume) {
		b.Set("v/a", []byte(parts(8)), objstore.Attributes{})
		b.Set("v/b", []byte(strings.ToUpper(parts(8))), objstore.Attributes{})
		v.rename("a", "t")
		v.rename("b", "a")
		v.rename("t", "b")
		v.writeAt("a", 3*smallPart, "CHANGED")
		v.writeAt("b", 2*smallPart, "changed")
		v.drain()
		v.quiet()
		want := parts(8)
		v.wantObject(b, "v/b", want[:2*smallPart]+"changed"+want[2*smallPart+7:])
		want = strings.ToUpper(want)
		v.wantObject(b, "v/a", want[:3*smallPart]+"CHANGED"+want[3*smallPart+7:])
		v.wantKeys(b, "v/", "v/a", "v/b")
	}, inSmallParts)
}

// A file that never rests is sent from a private copy: what did not change since the object
// before it is copied, and what was written meanwhile is sent the next time. Small contents
// and large ones lie differently on the local disk.
func TestPartsOfARestlessFile(t *testing.T) {
	t.Parallel()
	for _, part := range []int64{smallPart, 3 << 16} {
		b := memory.New(memory.Options{MinPartSize: int(part / 3)})
		bubble(t, b, func(v *volume) {
			want := []byte(strings.Repeat("0123456789abcdef", int(part/2)))
			v.write("a", string(want))
			v.drain()
			b.Forget()
			fh := v.openFile("a", 0)
			var writes atomic.Int64
			b.Inject(memory.Fault{Op: objstore.OpUploadPart, Count: 3, Hook: func() {
				if _, err := v.Write(t.Context(), fh, (writes.Add(1)-1)*part, []byte("x")); err != nil {
					t.Error(err)
				}
			}})
			v.writeAt("a", 7*part, "x")
			v.must(v.fsync("a"))
			v.Release(fh)
			v.drain()
			v.quiet()
			for _, i := range []int64{0, part, 2 * part, 7 * part} {
				want[i] = 'x'
			}
			if got, _ := content(b, "v/a"); got != string(want) {
				t.Errorf("parts of %d: the object differs from byte %d on", part, differ(got, string(want)))
			}
			if sent := b.Count(objstore.OpUploadPart); sent > 10 || b.Count(objstore.OpCopyPart) == 0 {
				t.Errorf("%d parts were sent and %d copied", sent, b.Count(objstore.OpCopyPart))
			}
		}, func(c *vfs.Config) { c.PartSize = part })
	}
}

// filesOnly is a bucket that takes parts from the files that they lie in.
type filesOnly struct {
	*memory.Bucket
	taken sync.Map // the numbers of those
}

func (f *filesOnly) UploadPart(ctx context.Context, key, id string, number int, body objstore.Body) (objstore.Part, error) {
	if in, ok := objstore.InFile(body); ok {
		data := make([]byte, in.Length)
		var err error
		if used := in.Use(func(fd int) { _, err = unix.Pread(fd, data, in.Offset) }); used != nil || err != nil {
			return objstore.Part{}, errors.Join(used, err)
		}
		f.taken.Store(number, nil)
		body = objstore.Bytes(data)
	}
	return f.Bucket.UploadPart(ctx, key, id, number, body)
}

// Parts are said to lie in a file where all of them does: not what the file has no bytes of.
func TestPartsThatLieInFiles(t *testing.T) {
	t.Parallel()
	const part = 3 << 16
	b := &filesOnly{Bucket: memory.New(memory.Options{MinPartSize: part / 3})}
	bubble(t, b, func(v *volume) {
		want := []byte(strings.Repeat("0123456789abcdef", 6*part/16))
		v.write("a", string(want))
		fh := v.openFile("a", 0)
		v.must(v.Fallocate(t.Context(), fh, part, part, vfs.FallocPunchHole|vfs.FallocKeepSize))
		clear(want[part : 2*part])
		v.Release(fh)
		v.writeAt("a", 8*part, "end") // and a hole before it
		want = append(append(want, make([]byte, 2*part)...), "end"...)
		v.drain()
		if got, _ := content(b.Bucket, "v/a"); got != string(want) {
			t.Errorf("the object differs from byte %d on", differ(got, string(want)))
		}
		for _, number := range []int{1, 3, 4, 5, 6, 9} {
			if _, ok := b.taken.Load(number); !ok {
				t.Errorf("part %d was copied", number)
			}
		}
		for _, number := range []int{7, 8} {
			if _, ok := b.taken.Load(number); ok {
				t.Errorf("part %d was taken from a file that has no bytes of it", number)
			}
		}
	}, func(c *vfs.Config) { c.PartSize = part })
}

// differ returns the first byte in which two contents differ.
func differ(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
