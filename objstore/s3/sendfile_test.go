package s3

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore"
)

// filed is a file that says that it is one.
type filed struct {
	*os.File
	moved func(n int, sent bool)
	using func() // nil for none
}

func (f *filed) InFile(off, n int64) (objstore.FileRange, bool) {
	return objstore.FileRange{Offset: off, Length: n, Moved: f.moved, Use: func(call func(fd int)) error {
		if f.using != nil {
			f.using()
		}
		call(int(f.Fd()))
		return nil
	}}, true
}

// newFiled makes a file of so many bytes.
func newFiled(t *testing.T, size int) (*filed, []byte) {
	t.Helper()
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // it never fails
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return &filed{File: f}, data
}

// A part that lies in a file goes as it lies there, by the kernel, with its checksum before it.
func TestPartInAFile(t *testing.T) {
	const from, size = 100, 3 << 20
	b, last := recording(t)
	f, data := newFiled(t, from+size+100)
	var read, sent, most int
	f.moved = func(n int, out bool) {
		if !out {
			read += n
			return
		}
		sent, most = sent+n, max(most, n)
	}
	part, err := b.UploadPart(t.Context(), "k", "id", 7, objstore.Section{R: f, Offset: from, Length: size})
	if want := (objstore.Part{Number: 7, ETag: "e", Size: size}); err != nil || part != want {
		t.Fatalf("part %+v, error %v, want %+v", part, err, want)
	}
	got, want := last(), data[from:from+size]
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli)))
	if have := got.header.Get(checksumHeader); have != base64.StdEncoding.EncodeToString(sum) {
		t.Errorf("the checksum is %q", have)
	}
	if mode := got.header.Get("X-Amz-Content-Sha256"); mode != unsignedPayload {
		t.Errorf("payload is %q", mode)
	}
	if !bytes.Equal(got.body, want) {
		t.Errorf("%d bytes arrived, not those of the file", len(got.body))
	}
	if read != size || sent != size {
		t.Errorf("told of %d bytes read and %d sent", read, sent)
	}
	if most <= copied {
		t.Errorf("at most %d bytes went at once: they were copied", most)
	}
}

// copied is how much of a body net/http copies at once, in bytes.
const copied = 32 << 10

// What is written to a part after it was summed is not lost: the store refuses the part, and
// it is sent again as it is now.
func TestPartThatIsWrittenTo(t *testing.T) {
	const size = 3 << 20
	b := openMinIO(t)
	f, data := newFiled(t, size)
	var left, sent int64 = size, 0
	f.moved = func(n int, out bool) {
		if out {
			sent += int64(n)
		} else if left -= int64(n); left == 0 {
			if _, err := f.WriteAt([]byte("changed"), 1000); err != nil {
				t.Error(err)
			}
		}
	}
	id, err := b.CreateUpload(t.Context(), "written/k", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.UploadPart(t.Context(), "written/k", id, 1, objstore.Section{R: f, Length: size})
	if err != nil {
		t.Fatal(err)
	}
	if sent != size {
		t.Errorf("%d bytes were sent by the kernel", sent)
	}
	if _, err := b.CompleteUpload(t.Context(), "written/k", id, []objstore.Part{part}, objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Get(t.Context(), "written/k", objstore.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	copy(data[1000:], "changed")
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, error %v; not those of the file", len(got), err)
	}
}

// A file that became shorter is the file's error: the store does not get what it must take
// for a whole part.
func TestPartOfAShorterFile(t *testing.T) {
	const size = 3 << 20
	for name, cut := range map[string]int64{"before it is summed": size, "before it is sent": 0} {
		t.Run(name, func(t *testing.T) {
			var whole atomic.Bool
			b := fake(t, func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					whole.Store(true)
				}
			})
			f, _ := newFiled(t, size)
			left := int64(size)
			f.moved = func(n int, sent bool) {
				if left -= int64(n); left == cut && !sent {
					if err := f.Truncate(size / 2); err != nil {
						t.Error(err)
					}
				}
			}
			if cut == size {
				f.moved(0, false)
			}
			_, err := b.UploadPart(t.Context(), "k", "id", 1, objstore.Section{R: f, Length: size})
			if !errors.Is(err, objstore.ErrInvalid) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want one that is definite and has the cause", err)
			}
			if whole.Load() {
				t.Error("the store got what it must take for a whole request")
			}
		})
	}
}

// A store that refuses a part unread and hangs up has refused.
func TestEarlyRefusalOfAFile(t *testing.T) {
	b := refusing(t, "403 Forbidden", "AccessDenied")
	f, _ := newFiled(t, 8<<20)
	for range 50 {
		_, err := b.UploadPart(t.Context(), "k", "id", 1, objstore.Section{R: f, Length: 8 << 20})
		if !errors.Is(err, objstore.ErrAccessDenied) {
			t.Fatalf("error %v, want the refusal", err)
		}
	}
}

// A file is not used after its request, which may have been given up while it was: it may be
// closed then, and its descriptor another's.
func TestFileAfterItsRequest(t *testing.T) {
	f, _ := newFiled(t, 1<<20)
	used, using := false, make(chan struct{})
	f.using = func() {
		close(using)
		time.Sleep(50 * time.Millisecond) // who would not wait for it is faster
		used = true
	}
	in, _ := f.InFile(0, 1<<20)
	b := &fileBody{in: in, left: in.Length}
	read := make(chan error, 1)
	go func() {
		_, err := b.Read(make([]byte, 1000))
		read <- err
	}()
	<-using
	b.end()
	if !used {
		t.Error("the file is in use")
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	if n, err := b.Read(make([]byte, 1000)); n > 0 || !errors.Is(err, errSourceClosed) {
		t.Errorf("%d bytes were read after that, error %v", n, err)
	}
}

// refusing returns a bucket on a server that refuses each request unread, with a status and
// a code, and hangs up.
func refusing(t *testing.T, status, code string) *Bucket {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s3.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait()
	})
	served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				answer := "<Error><Code>" + code + "</Code></Error>"
				_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(answer), answer)
			}
			_ = c.Close()
		}
	})
	return connected(t, Config{Socket: socket})
}
