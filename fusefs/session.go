package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Session serves one connection. Its methods may be called from many goroutines.
type Session struct {
	dir    string
	device *device
	server *fuse.ProtocolServer
	log    *slog.Logger

	// Set before the first request is served.
	mount                  identity
	control                *os.File // ends the connection
	initRequest, initReply []byte
	notifier               *notifier

	replies buffers
	pipes   *pipes
	pending pending
	idle    atomic.Int32   // readers that wait for a request
	readers sync.WaitGroup // those and the ones that answer one
	over    sync.Once      // the end of the connection
	done    chan struct{}  // closed after the last reader
}

// maxIdle is how many readers stay to wait for a request, a thread each. There are as
// many others as requests being answered.
const maxIdle = 4

func newSession(dev *device, dir string, fs fuse.RawFileSystem, passthrough bool, log *slog.Logger) *Session {
	return &Session{
		dir:    dir,
		device: dev,
		server: fuse.NewProtocolServer(fs, protocolOptions(passthrough, log)),
		log:    log,
		done:   make(chan struct{}),
	}
}

// Dir returns the true path of the directory that was mounted on.
func (s *Session) Dir() string { return s.dir }

// Init returns the kernel's INIT request and our reply, as they were on the wire. Who
// serves the connection next replays them (hard-cases 13).
func (s *Session) Init() (request, reply []byte) { return s.initRequest, s.initReply }

// Done is closed when the kernel has ended the connection and every request is answered.
func (s *Session) Done() <-chan struct{} { return s.done }

// Verify reports whether the directory shows this mount. It sends no request to the
// filesystem, so it does not wait for it.
func (s *Session) Verify(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return fmt.Errorf("%s: the connection has ended", s.dir)
	default:
	}
	there, err := identityOf(s.dir)
	if err != nil {
		return err
	}
	if there != s.mount {
		return fmt.Errorf("%s: something else is mounted there, or nothing", s.dir)
	}
	return nil
}

// Unmount takes the mount from its directory and returns at once. The connection is
// served on for those who still have it: open files, and mount namespaces of containers.
// It ends with the last of them (Done). A directory that does not show this mount is
// left alone.
func (s *Session) Unmount() error {
	there, err := identityOf(s.dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && there != s.mount {
		return nil
	}
	if err != nil {
		return err
	}
	if err := detach(s.dir); err != nil {
		return fmt.Errorf("unmount %s: %w", s.dir, err)
	}
	return nil
}

// Abort is the last resort: it ends the connection although it is in use, and waits
// until ctx is done for the requests that are being answered. Whoever uses the mount
// gets ENOTCONN from then on. The directory stays mounted until Unmount.
func (s *Session) Abort(ctx context.Context) error {
	if err := abort(s.control); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests are still being answered: %w", ctx.Err())
	}
}

// start begins serving.
func (s *Session) start() {
	s.addReader()
	go func() {
		s.readers.Wait()
		close(s.done)
	}()
}

func (s *Session) addReader() {
	s.idle.Add(1)
	s.readers.Go(s.serve)
}

// serve reads requests and answers each before it reads the next. The last idle reader
// starts another before it answers, so that a request that waits keeps no other waiting.
func (s *Session) serve() {
	in, free := requestBuffer()
	defer free()
	for {
		n, err := s.device.read(in)
		if err != nil {
			s.readFailed(err)
			return
		}
		if s.idle.Add(-1) == 0 {
			s.addReader()
		}
		s.answer(in[:n])
		if s.idle.Add(1) > maxIdle {
			s.idle.Add(-1)
			return
		}
	}
}

// readFailed ends the session. It ends the connection too, unless that was the failure: a
// mount that nobody reads from would hang everyone who touches it.
func (s *Session) readFailed(err error) {
	s.over.Do(func() {
		if !ended(err) {
			s.log.Error("the connection to the kernel is lost", "err", errors.Join(err, abort(s.control)))
		}
		if err := errors.Join(s.device.close(), s.control.Close()); err != nil {
			s.log.Warn("close the connection", "err", err)
		}
		s.pending.interrupt(s.server)
		s.pipes.end()
	})
}

// answer handles a request and sends the reply.
func (s *Session) answer(request []byte) {
	out := s.replies.get(replySize(request))
	defer s.replies.put(out)
	if s.pending.add(unique(request)) {
		s.readers.Go(func() { s.pending.interrupt(s.server) })
	}
	defer s.pending.remove(unique(request))

	reply, err := s.handle(request, *out)
	if err == nil {
		err = s.reply(request, reply)
	}
	if err == nil {
		return
	}
	s.log.Error("request not answered", "opcode", opcode(request), "err", err)
	// Whoever waits for the answer must get one.
	if err := s.send(refusal(unique(request), fuse.EIO)); err != nil {
		s.log.Error("request not refused", "opcode", opcode(request), "err", err)
	}
}

// handle lets the protocol server answer one request into out, and returns the part of
// out that is the reply, empty where none is due.
func (s *Session) handle(in, out []byte) (reply []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	n, status := s.server.HandleRequest([][]byte{in}, [][]byte{out})
	if !status.Ok() {
		return nil, fmt.Errorf("malformed request: %w", syscall.Errno(status))
	}
	return out[:n], nil
}

// reply sends the reply to a request, from a pipe if its content is there.
func (s *Session) reply(request, message []byte) error {
	if opcode(request) == opcodeRead {
		if p := s.pipes.take(unique(request)); p != nil {
			defer s.pipes.put(p)
			if p.held == len(message) { // else it is an error
				return given(s.device.splice(p))
			}
		}
	}
	return s.send(message)
}

// send sends a reply, if there is one.
func (s *Session) send(message []byte) error {
	if len(message) == 0 {
		return nil
	}
	return given(s.device.write(message))
}

// given is what became of a reply. The kernel may have given the request up meanwhile
// (ENOENT), or the whole connection.
func given(err error) error {
	if errors.Is(err, syscall.ENOENT) || ended(err) {
		return nil
	}
	return err
}

// The opcodes whose replies carry as much as the request asks for.
const (
	opcodeRead        = 15
	opcodeGetXAttr    = 22
	opcodeListXAttr   = 23
	opcodeReadDir     = 28
	opcodeIoctl       = 39
	opcodeReadDirPlus = 44
)

// replySize returns a size that the reply to a request cannot exceed, in bytes: headers,
// and the content that it asks for or the target of a symlink.
func replySize(request []byte) int {
	const (
		heads   = 512
		pathMax = 4 << 10
	)
	var at uintptr
	switch opcode(request) {
	case opcodeRead, opcodeReadDir, opcodeReadDirPlus:
		at = unsafe.Offsetof(fuse.ReadIn{}.Size)
	case opcodeGetXAttr, opcodeListXAttr:
		at = unsafe.Offsetof(fuse.GetXAttrIn{}.Size)
	case opcodeIoctl:
		at = unsafe.Offsetof(fuse.IoctlIn{}.OutSize)
	}
	if at == 0 || uintptr(len(request)) < at+4 {
		return heads + pathMax
	}
	return heads + max(pathMax, int(binary.NativeEndian.Uint32(request[at:])))
}

func opcode(request []byte) uint32 {
	const at = unsafe.Offsetof(fuse.InHeader{}.Opcode)
	if uintptr(len(request)) < at+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(request[at:])
}

func unique(request []byte) uint64 {
	const at = unsafe.Offsetof(fuse.InHeader{}.Unique)
	if uintptr(len(request)) < at+8 {
		return 0
	}
	return binary.NativeEndian.Uint64(request[at:])
}
