package fusefs

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A large READ of bytes that lie in a content file is answered by reference: the file's
// pages go through a pipe into /dev/fuse, where the kernel copies them into its own cache.
// Read into a buffer and written from it, each byte would be copied twice.

const (
	// spliceLeast is the smallest content, in bytes, that is worth a pipe: four system calls
	// instead of two.
	spliceLeast = 64 << 10
	// pipeSize is room for the largest reply: the kernel counts pages, in powers of two, of
	// which the header takes one and content that is not aligned one more. It is also the
	// most that a process without CAP_SYS_RESOURCE can have.
	pipeSize = 2 * maxRead
	// pipesKept is how many pipes stay between replies.
	pipesKept = maxIdle
)

const outHeaderSize = 16 // of a reply: length, error, unique number

// pipe is a reply on its way from a content file.
type pipe struct {
	r, w int
	held int // bytes in it
}

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	p := &pipe{r: fds[0], w: fds[1]}
	if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), p.close())
	}
	return p, nil
}

func (p *pipe) close() error { return errors.Join(unix.Close(p.r), unix.Close(p.w)) }

// fill puts the reply to a READ into the pipe: the header, and n bytes of a file from off.
func (p *pipe) fill(unique uint64, fd uintptr, off int64, n int) error {
	var header [outHeaderSize]byte
	binary.NativeEndian.PutUint32(header[:], uint32(len(header)+n))
	binary.NativeEndian.PutUint64(header[8:], unique)
	wrote, err := unix.Write(p.w, header[:])
	p.held += max(wrote, 0)
	for want := len(header) + n; err == nil && p.held < want; {
		var moved int64
		moved, err = unix.Splice(int(fd), &off, p.w, nil, want-p.held, unix.SPLICE_F_NONBLOCK)
		if moved == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		p.held += int(max(moved, 0))
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return err
}

// pipes are those of a session, and the replies that are in some of them.
type pipes struct {
	mu     sync.Mutex // protects what follows
	filled map[uint64]*pipe
	free   []*pipe
	over   bool
}

// fill is pipe.fill for a request, whose reply is taken later. It is false where that
// cannot be done.
func (ps *pipes) fill(unique uint64, fd uintptr, off int64, n int) bool {
	p := ps.get()
	if p == nil {
		return false
	}
	if err := p.fill(unique, fd, off, n); err != nil {
		_ = p.close() // what is in it goes with it
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.filled == nil {
		ps.filled = make(map[uint64]*pipe)
	}
	ps.filled[unique] = p
	return true
}

func (ps *pipes) get() *pipe {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if n := len(ps.free); n > 0 {
		p := ps.free[n-1]
		ps.free = ps.free[:n-1]
		return p
	}
	p, err := newPipe()
	if err != nil {
		return nil // it is copied
	}
	return p
}

// take returns the pipe that holds the reply to a request, nil for none.
func (ps *pipes) take(unique uint64) *pipe {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.filled[unique]
	delete(ps.filled, unique)
	return p
}

// put takes a pipe back.
func (ps *pipes) put(p *pipe) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.held > 0 || ps.over || len(ps.free) >= pipesKept {
		_ = p.close()
		return
	}
	ps.free = append(ps.free, p)
}

// end closes those that are kept.
func (ps *pipes) end() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.over = true
	for _, p := range ps.free {
		_ = p.close()
	}
	ps.free = nil
}
