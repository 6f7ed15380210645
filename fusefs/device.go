package fusefs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// device is the descriptor of one connection. It is non-blocking: waiting for a request
// is the runtime's poller's, and close wakes who waits.
type device struct {
	fd   int
	file *os.File
	conn syscall.RawConn
}

// openDevice opens the descriptor. It can be mounted then; reading begins with poll.
func openDevice() (*device, error) {
	const path = "/dev/fuse"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &device{fd: fd}, nil
}

// poll hands the descriptor to the runtime's poller. Only after mount(2): before it the
// device has no queue that the poller could wait on.
func (d *device) poll() (err error) {
	d.file = os.NewFile(uintptr(d.fd), "/dev/fuse")
	d.conn, err = d.file.SyscallConn()
	return err
}

// read waits for a request and returns it in a buffer that is taken from the pool when
// the request is there, so that waiting holds none.
func (d *device) read(pool *buffers) (buffer, error) {
	var (
		in  buffer
		err error
	)
	waitErr := d.conn.Read(func(fd uintptr) bool {
		in, err = readRequest(int(fd), pool)
		return !errors.Is(err, syscall.EAGAIN)
	})
	if waitErr != nil {
		return buffer{}, fmt.Errorf("read request: %w", os.ErrClosed)
	}
	return in, err
}

// readRequest reads one request if there is one, else EAGAIN.
func readRequest(fd int, pool *buffers) (buffer, error) {
	in := pool.get(maxRequest)
	for {
		n, err := unix.Read(fd, in.bytes)
		switch {
		case err == nil:
			in.bytes = in.bytes[:n]
			return pool.shrink(in), nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOENT):
			// ENOENT: the request was given up while we were taking it.
		default:
			pool.put(in)
			return buffer{}, os.NewSyscallError("read request", err)
		}
	}
}

// write sends a whole reply or notification. It takes no lock of the file: see doc.go.
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

// close ends the connection, if the kernel has not: what uses the mount gets ENOTCONN.
func (d *device) close() error {
	if d.file == nil {
		return os.NewSyscallError("close", unix.Close(d.fd))
	}
	return d.file.Close()
}
