package writeback_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// pour writes a content in sequence, a third of a part at a time, and leaves the file open.
func (v *volume) pour(p, content string) (fh uint64) {
	v.t.Helper()
	fh = v.openFile(p, 0)
	v.pourOn(fh, 0, content)
	return fh
}

func (v *volume) pourOn(fh uint64, off int, content string) {
	v.t.Helper()
	const step = smallPart / 3
	for at := 0; at < len(content); at += step {
		_, err := v.Write(v.t.Context(), fh, int64(off+at), []byte(content[at:min(at+step, len(content))]))
		v.must(err)
		time.Sleep(20 * time.Millisecond)
	}
}

// wantAttributes checks that an object has the mode and the time of its file.
func (v *volume) wantAttributes(b *memory.Bucket, p string) {
	v.t.Helper()
	attr, _, _ := layout.Decode(b.Snapshot()["v/"+p].Object, false, layout.Defaults{})
	if a, err := v.stat(p); err != nil || attr.Mode != a.Mode || !attr.Mtime.Equal(a.Mtime) {
		v.t.Errorf("the object of %s has mode %o and time %v, the file %o and %v, error %v", p, attr.Mode, attr.Mtime, a.Mode, a.Mtime, err)
	}
}

func (v *volume) noUploads(b *memory.Bucket) {
	v.t.Helper()
	if up := b.Uploads(); len(up) > 0 {
		v.t.Errorf("unfinished uploads are left: %v", up)
	}
}

// A file that is written in sequence is in the bucket soon after its close, because most of it
// was sent before. What programs do to its attributes then is one request.
func TestStream(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{MinPartSize: smallPart / 3})
	bubble(t, b, func(v *volume) {
		want := parts(20)
		fh := v.pour("a", want)
		if sent := b.Count(objstore.OpUploadPart); sent < 18 || len(b.Uploads()) != 1 {
			t.Errorf("%d parts were sent while the file was written, uploads %v", sent, b.Uploads())
		}
		if _, there := content(b, "v/a"); there {
			t.Error("the object is there before the close")
		}
		b.Forget()
		v.Release(fh)
		v.chmod("a", 0o600)
		time.Sleep(500 * time.Millisecond)
		v.wantObject(b, "v/a", want)
		v.chmod("a", 0o640)
		v.drain()
		v.quiet()
		v.wantObject(b, "v/a", want)
		v.wantAttributes(b, "a")
		if n := b.Count(objstore.OpUploadPart); n > 2 || b.Count(objstore.OpCompleteUpload) != 1 || b.Count(objstore.OpSetAttributes) != 1 || b.Count("") > n+3 {
			t.Errorf("after the close: %v", b.Requests())
		}
		v.noUploads(b)
	}, inSmallParts)
}

// What is done to a file while it is sent: what the bucket has in the end is what it is.
func TestStreamOfAChangedFile(t *testing.T) {
	t.Parallel()
	whole := parts(20)
	upper := strings.ToUpper(whole)
	write := func(off int, data string) func(v *volume, fh uint64) {
		return func(v *volume, fh uint64) {
			_, err := v.Write(v.t.Context(), fh, int64(off), []byte(data))
			v.must(err)
		}
	}
	resize := func(size int64) func(v *volume, fh uint64) {
		return func(v *volume, _ uint64) {
			a, err := v.stat("a")
			v.must(err)
			_, _, err = v.SetAttr(v.t.Context(), a.Ino, vfs.SetAttr{Size: &size}, vfs.Caller{})
			v.must(err)
		}
	}
	const p = smallPart
	for name, test := range map[string]struct {
		do    func(v *volume, fh uint64)
		want  map[string]string // of all objects
		least int               // of parts that are sent again
		most  int
	}{
		"nothing":      {func(*volume, uint64) {}, map[string]string{"a": whole}, 0, 3},
		"overwritten":  {write(3*p, upper[3*p:4*p]), map[string]string{"a": whole[:3*p] + upper[3*p:4*p] + whole[4*p:]}, 1, 4},
		"two parts":    {write(4*p-1, "XX"), map[string]string{"a": whole[:4*p-1] + "XX" + whole[4*p+1:]}, 2, 5},
		"all":          {write(0, upper), map[string]string{"a": upper}, 20, 21},
		"sparse":       {write(25*p, "end"), map[string]string{"a": whole + strings.Repeat("\x00", 5*p) + "end"}, 6, 9},
		"cut":          {resize(10*p - 7), map[string]string{"a": whole[:10*p-7]}, 1, 1},
		"cut at parts": {resize(10 * p), map[string]string{"a": whole[:10*p]}, 0, 0},
		"cut small":    {resize(p), map[string]string{"a": whole[:p]}, 0, 0},
		"emptied":      {resize(0), map[string]string{"a": ""}, 0, 0},
		"grown":        {resize(22 * p), map[string]string{"a": whole + strings.Repeat("\x00", 2*p)}, 2, 5},
		"again": {
			func(v *volume, fh uint64) { resize(0)(v, fh); v.pourOn(fh, 0, upper) },
			map[string]string{"a": upper},
			18, 60,
		},
		"punched": {
			func(v *volume, fh uint64) {
				v.must(v.Fallocate(v.t.Context(), fh, 5*p, p, vfs.FallocPunchHole|vfs.FallocKeepSize))
			}, map[string]string{"a": whole[:5*p] + strings.Repeat("\x00", p) + whole[6*p:]}, 1, 4,
		},
		"renamed":     {func(v *volume, _ uint64) { v.rename("a", "b") }, map[string]string{"b": whole}, 20, 21},
		"renamed, on": {func(v *volume, fh uint64) { v.rename("a", "b"); v.pourOn(fh, 20*p, upper) }, map[string]string{"b": whole + upper}, 38, 100},
		"linked": {
			func(v *volume, _ uint64) { v.link("a", "b") },
			map[string]string{"a": whole, "b": whole},
			20, 40,
		},
		"unlinked": {func(v *volume, _ uint64) { v.unlink("a") }, map[string]string{}, 0, 0},
		"replaced": {func(v *volume, _ uint64) { v.write("b", "other"); v.rename("b", "a") }, map[string]string{"a": "other"}, 0, 0},
		"replaced it": {func(v *volume, _ uint64) {
			v.write("b", "other")
			time.Sleep(500 * time.Millisecond)
			v.rename("a", "b")
		}, map[string]string{"b": whole}, 20, 21},
		"attributes": {func(v *volume, _ uint64) { v.chmod("a", 0o600) }, map[string]string{"a": whole}, 0, 3},
		"synced": {
			func(v *volume, fh uint64) {
				v.must(v.Fsync(v.t.Context(), fh, false))
				if n := b4(v).Count(objstore.OpSetAttributes); n != 0 {
					v.t.Errorf("fsync set attributes %d times", n)
				}
				v.wantObject(b4(v), "v/a", whole)
				v.pourOn(fh, 20*p, upper)
			}, map[string]string{"a": whole + upper}, 20, 40,
		},
		"restless": {
			func(v *volume, fh uint64) {
				for range 100 {
					time.Sleep(time.Second)
					write(0, "X")(v, fh)
				}
				v.wantObject(b4(v), "v/a", "X"+whole[1:])
			},
			map[string]string{"a": "X" + whole[1:]},
			1, 100,
		},
		"resting": {func(v *volume, fh uint64) { time.Sleep(20 * time.Second); v.pourOn(fh, 20*p, upper) }, map[string]string{"a": whole + upper}, 20, 40},
	} {
		for _, closed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %t", name, closed), func(t *testing.T) {
				t.Parallel()
				b := memory.New(memory.Options{MinPartSize: smallPart / 3})
				bubble(t, b, func(v *volume) {
					fh := v.pour("a", whole)
					before := b.Count(objstore.OpUploadPart)
					if before < 18 {
						t.Errorf("%d parts were sent", before)
					}
					test.do(v, fh)
					if closed {
						v.Release(fh)
						v.Forget(1<<62, 0)
					}
					v.drain()
					time.Sleep(10 * time.Second)
					if !closed {
						v.Release(fh)
					}
					v.drain()
					v.quiet()
					var keys []string
					for name, want := range test.want {
						keys = append(keys, "v/"+name)
						v.wantObject(b, "v/"+name, want)
						v.wantAttributes(b, name)
						if got := v.read(name); got != want {
							t.Errorf("%s reads %.40q", name, got)
						}
					}
					if name != "linked" {
						v.wantKeys(b, append(keys, "v/")...)
					}
					if n := b.Count(objstore.OpUploadPart) - before; n < test.least || n > test.most {
						t.Errorf("%d parts were sent after it, want %d to %d", n, test.least, test.most)
					}
					v.noUploads(b)
				}, inSmallParts)
			})
		}
	}
}

// b4 is the bucket of a volume.
func b4(v *volume) *memory.Bucket { return v.bucket.(*memory.Bucket) }

// Whatever answer is lost, and wherever the process ends, nothing is lost and no upload is
// left: of an object whose attributes are not those of its file the index knows.
func TestLostAnswersOfAStream(t *testing.T) {
	t.Parallel()
	for _, op := range []string{objstore.OpUploadPart, objstore.OpCompleteUpload, objstore.OpSetAttributes, objstore.OpAbortUpload} {
		for _, after := range []bool{false, true} {
			for _, crash := range []bool{false, true} {
				for nth := 1; nth < 4; nth++ {
					t.Run(fmt.Sprintf("%s %d, executed %t, crash %t", op, nth, after, crash), func(t *testing.T) {
						t.Parallel()
						b := memory.New(memory.Options{MinPartSize: smallPart / 3})
						bubble(t, b, func(v *volume) {
							heal := b.Inject(memory.Fault{Op: op, Nth: nth, Count: memory.Forever, After: after, Err: objstore.ErrUnavailable})
							fh := v.pour("a", parts(20))
							v.Release(fh)
							time.Sleep(5 * time.Second)
							if crash {
								v.close()
								heal()
								v.open()
							}
							heal()
							v.drain()
							time.Sleep(time.Minute)
							v.drain()
							v.quiet()
							v.wantObject(b, "v/a", parts(20))
							v.wantAttributes(b, "a")
							v.wantKeys(b, "v/", "v/a")
							v.noUploads(b)
						}, inSmallParts)
					})
				}
			}
		}
	}
}

// A process that ends while a file is written leaves its upload to the next one.
func TestStreamOfAnEndedProcess(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{MinPartSize: smallPart / 3})
	bubble(t, b, func(v *volume) {
		v.pour("a", parts(20))
		v.close()
		if len(b.Uploads()) != 1 {
			t.Errorf("uploads are %v", b.Uploads())
		}
		v.open()
		v.drain()
		v.quiet()
		v.wantObject(b, "v/a", parts(20))
		v.wantAttributes(b, "a")
		v.noUploads(b)
	}, inSmallParts, func(c *vfs.Config) { c.BootID = "one" })
}

// What another client put at the key meanwhile keeps it.
func TestStreamMeetsAnotherObject(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{MinPartSize: smallPart / 3})
	bubble(t, b, func(v *volume) {
		fh := v.pour("a", parts(20))
		b.Set("v/a", []byte("theirs"), objstore.Attributes{})
		v.Release(fh)
		v.drain()
		v.wantObject(b, "v/a", "theirs")
		ours := keys(b, "v/a.conflict")
		if len(ours) != 1 || v.State().Conflicts != 1 {
			t.Fatalf("%d conflicts, kept are %q", v.State().Conflicts, ours)
		}
		v.wantObject(b, ours[0], parts(20))
		v.noUploads(b)
	}, inSmallParts)
}

// A store that cannot set attributes is sent everything at the close, with the right ones.
func TestNoStream(t *testing.T) {
	t.Parallel()
	for _, without := range []objstore.Capabilities{{SetAttributes: true}, {ConditionalComplete: true}} {
		b := memory.New(memory.Options{MinPartSize: smallPart / 3, Without: without})
		bubble(t, b, func(v *volume) {
			v.pour("a", parts(20))
			if len(b.Uploads()) != 0 {
				t.Errorf("uploads are %v", b.Uploads())
			}
		}, inSmallParts)
	}
}
