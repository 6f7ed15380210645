package fusefs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// device is the descriptor of one connection. Every use of it holds a reference, so that
// it is not closed, and its number not given to another file, while it is in use.
type device struct {
	fd   int
	file *os.File
	conn syscall.RawConn
}

// openDevice opens the descriptor for blocking reads: a request then wakes one thread,
// which answers it and comes back. Through the runtime's poller each of them took twice
// as long.
func openDevice() (*device, error) {
	const path = "/dev/fuse"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &device{fd: fd, file: file, conn: conn}, nil
}

// read waits for a request and reads it into buf, which has room for the largest.
func (d *device) read(buf []byte) (n int, err error) {
	closed := d.conn.Control(func(fd uintptr) {
		for {
			n, err = unix.Read(int(fd), buf)
			// ENOENT: the request was given up while we were taking it.
			if !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EAGAIN) {
				return
			}
		}
	})
	if closed != nil {
		return 0, fmt.Errorf("read request: %w", os.ErrClosed)
	}
	return n, os.NewSyscallError("read request", err)
}

// write sends a whole reply or notification. It takes no lock: see doc.go.
func (d *device) write(message []byte) error {
	var err error
	closed := d.conn.Control(func(fd uintptr) {
		for {
			_, err = unix.Write(int(fd), message)
			if !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	if closed != nil {
		return fmt.Errorf("write reply: %w", os.ErrClosed)
	}
	return os.NewSyscallError("write reply", err)
}

// splice sends a whole reply from a pipe.
func (d *device) splice(p *pipe) error {
	var err error
	closed := d.conn.Control(func(fd uintptr) {
		for {
			var n int64
			n, err = unix.Splice(p.r, nil, int(fd), nil, p.held, 0)
			if !errors.Is(err, syscall.EINTR) {
				p.held -= int(max(n, 0))
				return
			}
		}
	})
	if closed != nil {
		return fmt.Errorf("splice reply: %w", os.ErrClosed)
	}
	return os.NewSyscallError("splice reply", err)
}

// close gives the descriptor up. The connection ends with it unless the kernel still has
// readers of it waiting.
func (d *device) close() error { return d.file.Close() }
