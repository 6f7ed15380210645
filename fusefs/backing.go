package fusefs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
)

// backing gives the kernel files to read and write without asking us (passthrough, Linux
// 6.9). The kernel knows them by an id for each connection.
type backing struct {
	device *device
	log    *slog.Logger
}

var _ vfs.Passer = (*backing)(nil)

// The ioctls of /dev/fuse, _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32_t).
const (
	iocBackingOpen  = 0x4010e501
	iocBackingClose = 0x4004e502
)

// backingMap is struct fuse_backing_map.
type backingMap struct {
	fd    int32
	flags uint32
	_     uint64
}

// Register implements vfs.Passer. Errors: ELOOP on a file system that lies on another, such
// as overlayfs; EPERM without CAP_SYS_ADMIN.
func (b *backing) Register(fd uintptr) (int32, error) {
	m := backingMap{fd: int32(fd)}
	id, err := b.device.ioctl(iocBackingOpen, unsafe.Pointer(&m))
	if err != nil {
		return 0, fmt.Errorf("register a backing file: %w", err)
	}
	return int32(id), nil
}

// Release implements vfs.Passer. With the connection all of them end.
func (b *backing) Release(id int32) {
	if _, err := b.device.ioctl(iocBackingClose, unsafe.Pointer(&id)); err != nil && !ended(err) {
		b.log.Warn("release a backing file", "id", id, "err", err)
	}
}

// ioctl is an ioctl of the connection with a pointer to its argument.
func (d *device) ioctl(command uintptr, arg unsafe.Pointer) (result uintptr, err error) {
	defer runtime.KeepAlive(arg)
	closed := d.conn.Control(func(fd uintptr) {
		for {
			var errno syscall.Errno
			result, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, command, uintptr(arg))
			if errno == 0 {
				return
			}
			if err = errno; !errors.Is(err, syscall.EINTR) {
				return
			}
			err = nil
		}
	})
	if closed != nil {
		return 0, fmt.Errorf("ioctl: %w", os.ErrClosed)
	}
	return result, os.NewSyscallError("ioctl", err)
}
