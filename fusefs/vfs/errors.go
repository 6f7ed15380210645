package vfs

import "errors"

// What an operation can answer, by kind. The FUSE front has the one table that turns
// them into errno; every other error is EIO.
var (
	ErrNotExist     = errors.New("no such file or directory")
	ErrExist        = errors.New("file exists")
	ErrNotDir       = errors.New("not a directory")
	ErrIsDir        = errors.New("is a directory")
	ErrNotEmpty     = errors.New("directory not empty")
	ErrNotPermitted = errors.New("operation not permitted")
	ErrAccess       = errors.New("permission denied")
	ErrInvalid      = errors.New("invalid argument")
	ErrNameTooLong  = errors.New("file name too long")
	ErrNoSpace      = errors.New("no space left on the host or in the store")
	ErrReadOnly     = errors.New("read-only file system")
	ErrStale        = errors.New("changed in the bucket meanwhile")
	ErrNotSupported = errors.New("operation not supported")
	ErrBadHandle    = errors.New("bad file handle")
	ErrNoData       = errors.New("no data behind the offset")
	ErrTooManyLinks = errors.New("too many links")
	ErrTooBig       = errors.New("file too large")
	ErrInterrupted  = errors.New("interrupted")
	ErrNoXattr      = errors.New("no such extended attribute")
	ErrTimedOut     = errors.New("the store did not answer in time")
)
