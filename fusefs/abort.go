package fusefs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openControl opens the file that ends a connection. While it is open it stands for this
// connection alone, even when its device number is given to another. The control file
// system is not attached anywhere for that.
func openControl(dev uint64) (*os.File, error) {
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen fusectl", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, os.NewSyscallError("fsconfig fusectl", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fsmount fusectl", err)
	}
	defer func() { _ = unix.Close(mount) }()
	name := fmt.Sprintf("%d/abort", unix.Minor(dev))
	file, err := unix.Openat(mount, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open in fusectl", Path: name, Err: err}
	}
	return os.NewFile(uintptr(file), name), nil
}

// abort ends a connection by its control file: everyone who waits for an answer or asks
// from then on gets ENOTCONN. It has no effect on one that has ended.
func abort(control *os.File) error {
	_, err := control.Write([]byte("1"))
	return err
}
