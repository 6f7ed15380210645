package fusefs

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func contentFile(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// drain reads all of a pipe.
func drain(t *testing.T, p *pipe) []byte {
	t.Helper()
	data := make([]byte, p.held)
	for at := 0; at < len(data); {
		n, err := unix.Read(p.r, data[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	p.held = 0
	return data
}

// TestPipeHoldsTheLargestReply: whatever the content's place in the file.
func TestPipeHoldsTheLargestReply(t *testing.T) {
	data := make([]byte, maxRead+3*4096)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	f := contentFile(t, data)
	var ps pipes
	defer ps.end()
	for _, off := range []int64{0, 1, 4096, 5000} {
		const request = 77
		if !ps.fill(request, f.Fd(), off, maxRead) {
			t.Fatalf("at %d: not taken", off)
		}
		p := ps.take(request)
		reply := drain(t, p)
		if n := binary.NativeEndian.Uint32(reply); int(n) != len(reply) || len(reply) != outHeaderSize+maxRead {
			t.Errorf("at %d: the header says %d bytes, there are %d", off, n, len(reply))
		}
		if status, unique := binary.NativeEndian.Uint32(reply[4:]), binary.NativeEndian.Uint64(reply[8:]); status != 0 || unique != request {
			t.Errorf("at %d: header of request %d with status %d", off, unique, status)
		}
		if !bytes.Equal(reply[outHeaderSize:], data[off:off+maxRead]) {
			t.Errorf("at %d: other content", off)
		}
		ps.put(p)
	}
	if len(ps.free) != 1 {
		t.Errorf("%d pipes were made", len(ps.free))
	}
}

// TestPipeWithoutAllOfAReplyIsGone: nothing of it can get into another reply.
func TestPipeWithoutAllOfAReplyIsGone(t *testing.T) {
	f := contentFile(t, make([]byte, 100_000))
	var ps pipes
	defer ps.end()
	if ps.fill(1, f.Fd(), 0, 100_001) {
		t.Error("a file that ends early was taken")
	}
	if p := ps.take(1); p != nil {
		t.Error("there is a reply")
	}
	if len(ps.free) != 0 {
		t.Error("the pipe is used again")
	}
	if !ps.fill(2, f.Fd(), 0, 100_000) {
		t.Fatal("not taken")
	}
	p := ps.take(2)
	ps.put(p) // never sent
	if len(ps.free) != 0 {
		t.Error("a pipe with a reply in it is used again")
	}
}
