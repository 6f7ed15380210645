package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestBuffers(t *testing.T) {
	var pool buffers
	for _, size := range []int{0, 1, sizes[0], sizes[0] + 1, sizes[1], sizes[1] + 1, maxRequest, maxRequest + 1} {
		b := pool.get(size)
		if len(*b) < size {
			t.Errorf("asked for %d bytes, got %d", size, len(*b))
		}
		pool.put(b)
		if b := pool.get(size); len(*b) < size {
			t.Errorf("asked for %d bytes, got %d from the pool", size, len(*b))
		}
	}
	in, free := requestBuffer()
	defer free()
	if len(in) != maxRequest {
		t.Errorf("room for a request is %d bytes", len(in))
	}
}

// wire is a request as the kernel lays it out, from go-fuse's struct of it.
func wire[T any](in T, opcode uint32) []byte {
	b := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&in)), unsafe.Sizeof(in))...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint32(b[4:], opcode)
	return b
}

func TestReplyHasRoom(t *testing.T) {
	const size = 1 << 20
	for opcode, request := range map[uint32][]byte{
		opcodeRead:        wire(fuse.ReadIn{Size: size}, opcodeRead),
		opcodeReadDir:     wire(fuse.ReadIn{Size: size}, opcodeReadDir),
		opcodeReadDirPlus: wire(fuse.ReadIn{Size: size}, opcodeReadDirPlus),
		opcodeGetXAttr:    wire(fuse.GetXAttrIn{Size: size}, opcodeGetXAttr),
		opcodeListXAttr:   wire(fuse.GetXAttrIn{Size: size}, opcodeListXAttr),
		opcodeIoctl:       wire(fuse.IoctlIn{OutSize: size}, opcodeIoctl),
	} {
		if got := replySize(request); got < size+16 || got > maxRequest {
			t.Errorf("opcode %d: %d bytes", opcode, got)
		}
		if got := replySize(request[:41]); got > sizes[0] {
			t.Errorf("opcode %d, cut short: %d bytes", opcode, got)
		}
	}
	const opcodeReadlink = 5
	if got := replySize(wire(fuse.InHeader{}, opcodeReadlink)); got < 16+4096 || got > sizes[0] {
		t.Errorf("readlink: %d bytes", got)
	}
}

func TestOffered(t *testing.T) {
	in := wire(fuse.InitIn{Minor: 44, Flags: 1, Flags2: 2}, 26)
	if got, none := offeredMinor(in), offeredMinor(in[:44]); got != 44 || none != 0 {
		t.Errorf("version %d, cut short %d", got, none)
	}
	if got := offeredFlags(in); got != 2<<32|1 {
		t.Errorf("got %x", got)
	}
	if got := offeredFlags(in[:56]); got != 1 {
		t.Errorf("without the upper half: got %x", got)
	}
	if got := offeredFlags(in[:40]); got != 0 {
		t.Errorf("without flags: got %x", got)
	}
}

func TestRequestIsDoneWhenItIsInterrupted(t *testing.T) {
	cancel := make(chan struct{})
	ctx := request(cancel)
	if ctx.Err() != nil {
		t.Error(ctx.Err())
	}
	derived, stop := context.WithCancel(ctx)
	defer stop()
	close(cancel)
	<-derived.Done()
	if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(derived.Err(), context.Canceled) {
		t.Errorf("got %v and %v", ctx.Err(), derived.Err())
	}
}

// waiting answers GETATTR when it is interrupted.
type waiting struct{ fuse.RawFileSystem }

func (waiting) GetAttr(cancel <-chan struct{}, _ *fuse.GetAttrIn, _ *fuse.AttrOut) fuse.Status {
	<-cancel
	return fuse.EINTR
}

func TestPendingRequestsAreInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const opcodeGetAttr = 3
		s := newSession(nil, "", waiting{fuse.NewDefaultRawFileSystem()}, true, slog.New(slog.DiscardHandler))
		for i := range uint64(10) {
			unique := 1 + i
			if s.pending.add(unique) { // and only then known to the server
				t.Error("over before its end")
			}
			go func() {
				defer s.pending.remove(unique)
				in := fuse.GetAttrIn{}
				in.Unique = unique
				if _, err := s.handle(wire(in, opcodeGetAttr), make([]byte, sizes[0])); err != nil {
					t.Error(err)
				}
			}()
		}
		s.pending.interrupt(s.server)
		if !s.pending.add(11) {
			t.Error("not over after its end")
		}
	})
}

// A reply that go-fuse cannot make is an error, which is answered with EIO.
func TestHandleMalformedRequests(t *testing.T) {
	s := newSession(nil, "", waiting{fuse.NewDefaultRawFileSystem()}, true, slog.New(slog.DiscardHandler))
	for name, request := range map[string][]byte{
		"nothing":        nil,
		"half a header":  make([]byte, 20),
		"no room at all": wire(fuse.ReadIn{Size: 100}, opcodeRead),
	} {
		if _, err := s.handle(request, nil); err == nil {
			t.Errorf("%s was answered", name)
		}
	}
}
