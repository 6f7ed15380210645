package fusefs

import (
	"context"
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

// errnos is the only place where an error becomes an errno. What is not in it is EIO.
var errnos = []struct {
	kind  error
	errno syscall.Errno
}{
	{vfs.ErrNotExist, syscall.ENOENT},
	{vfs.ErrExist, syscall.EEXIST},
	{vfs.ErrNotDir, syscall.ENOTDIR},
	{vfs.ErrIsDir, syscall.EISDIR},
	{vfs.ErrNotEmpty, syscall.ENOTEMPTY},
	{vfs.ErrNotPermitted, syscall.EPERM},
	{vfs.ErrAccess, syscall.EACCES},
	{vfs.ErrInvalid, syscall.EINVAL},
	{vfs.ErrNameTooLong, syscall.ENAMETOOLONG},
	{vfs.ErrNoSpace, syscall.ENOSPC},
	{vfs.ErrReadOnly, syscall.EROFS},
	{vfs.ErrStale, syscall.ESTALE},
	{vfs.ErrNotSupported, syscall.EOPNOTSUPP},
	{vfs.ErrBadHandle, syscall.EBADF},
	{vfs.ErrNoData, syscall.ENXIO},
	{vfs.ErrTooManyLinks, syscall.EMLINK},
	{vfs.ErrTooBig, syscall.EFBIG},
	{vfs.ErrInterrupted, syscall.EINTR},
	{vfs.ErrNoXattr, syscall.ENODATA},
	{vfs.ErrTimedOut, syscall.ETIMEDOUT},
	{context.Canceled, syscall.EINTR},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
}

func errno(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	for _, e := range errnos {
		if errors.Is(err, e.kind) {
			return fuse.Status(e.errno)
		}
	}
	return fuse.EIO
}

// status is the answer to an operation on ino that ended with err. An EIO tells the
// application nothing: the log has the reason.
func (f *front) status(op string, ino uint64, err error) fuse.Status {
	s := errno(err)
	if s == fuse.EIO {
		f.log.Error("operation failed", "op", op, "inode", ino, "err", err)
	}
	return s
}
