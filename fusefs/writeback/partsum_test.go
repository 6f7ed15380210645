package writeback_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// kernel is given content files, as the kernel is, and keeps the last one for writing to it.
type kernel struct {
	t    *testing.T
	file *os.File
}

func (k *kernel) Register(fd uintptr) (int32, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
	k.file = f
	return 1, err
}

// Release is called before the last program has let go of the file.
func (k *kernel) Release(int32) {
	if err := k.file.Close(); err != nil {
		k.t.Error(err)
	}
}

func (k *kernel) writeAt(off int, data string) {
	k.t.Helper()
	if _, err := k.file.WriteAt([]byte(data), int64(off)); err != nil {
		k.t.Fatal(err)
	}
}

// A file that programs write to behind our back is sent while it grows, too. What of it they
// changed after it was sent, or while it was, is found in the end.
func TestStreamOfAPassedFile(t *testing.T) {
	t.Parallel()
	const p = smallPart
	whole := parts(20)
	upper := strings.ToUpper(whole)
	for name, test := range map[string]struct {
		do          func(k *kernel)
		want        string
		least, most int // parts that are sent after it
	}{
		"nothing":     {func(*kernel) {}, whole, 1, 2},
		"overwritten": {func(k *kernel) { k.writeAt(3*p, upper[3*p:3*p+1]) }, whole[:3*p] + upper[3*p:3*p+1] + whole[3*p+1:], 2, 3},
		"all":         {func(k *kernel) { k.writeAt(0, upper) }, upper, 20, 20},
		"longer":      {func(k *kernel) { k.writeAt(20*p, upper) }, whole + upper, 20, 22},
		"cut": {func(k *kernel) {
			if err := k.file.Truncate(10*p + 5); err != nil {
				k.t.Fatal(err)
			}
		}, whole[:10*p+5], 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{MinPartSize: smallPart / 3})
			bubble(t, b, func(v *volume) {
				k := &kernel{t: t}
				v.SetPasser(k)
				v.write("a", "what was there before")
				v.drain()
				a, err := v.stat("a")
				v.must(err)
				fh := v.next.Add(1)
				r, err := v.Open(t.Context(), a.Ino, syscall.O_RDWR, fh)
				v.must(err)
				if r.Backing == 0 {
					t.Skip("the file system of the test's directory does not show what is done to a file")
				}
				none := int64(0)
				_, _, err = v.SetAttr(t.Context(), a.Ino, vfs.SetAttr{Size: &none}, vfs.Caller{})
				v.must(err)
				for off := 0; off < len(whole); off += p {
					k.writeAt(off, whole[off:off+p])
					time.Sleep(300 * time.Millisecond)
				}
				time.Sleep(2 * time.Second)
				before := b.Count(objstore.OpUploadPart)
				if before < 18 || len(b.Uploads()) != 1 {
					t.Errorf("%d parts were sent, uploads %v", before, b.Uploads())
				}
				test.do(k)
				v.Release(fh)
				v.drain()
				time.Sleep(10 * time.Second)
				v.drain()
				v.quiet()
				v.wantObject(b, "v/a", test.want)
				v.wantAttributes(b, "a")
				if got := v.read("a"); got != test.want {
					t.Errorf("it reads %.40q", got)
				}
				if n := b.Count(objstore.OpUploadPart) - before; n < test.least || n > test.most {
					t.Errorf("%d parts were sent after it, want %d to %d", n, test.least, test.most)
				}
				v.noUploads(b)
			}, inSmallParts, func(c *vfs.Config) { c.PassthroughMin = 1 })
		})
	}
}
