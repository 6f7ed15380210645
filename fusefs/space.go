package fusefs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
)

// Fallocate is not asked to collapse or insert: the kernel refuses that itself.
func (f *front) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	err := f.fs.Fallocate(request(cancel), in.Fh, int64(in.Offset), int64(in.Length), in.Mode)
	return f.status(opFallocate, in.NodeId, err)
}

// Lseek is asked for data and holes only.
func (f *front) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	seek := f.fs.SeekData
	switch in.Whence {
	case unix.SEEK_DATA:
	case unix.SEEK_HOLE:
		seek = f.fs.SeekHole
	default:
		return fuse.EINVAL
	}
	at, err := seek(request(cancel), in.Fh, int64(in.Offset))
	out.Offset = uint64(at)
	return f.status(opLseek, in.NodeId, err)
}

func (f *front) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	n, err := f.fs.CopyRange(request(cancel), vfs.Copy{
		From: in.FhIn, Off: int64(in.OffIn), To: in.FhOut, At: int64(in.OffOut), N: int64(min(in.Len, 1<<40)),
	})
	return uint32(n), f.status(opCopy, in.NodeId, err)
}

func (o *observed) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) (status fuse.Status) {
	defer o.end(opFallocate, time.Now(), nil, &status)
	return o.RawFileSystem.Fallocate(cancel, in)
}

func (o *observed) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) (status fuse.Status) {
	defer o.end(opLseek, time.Now(), nil, &status)
	return o.RawFileSystem.Lseek(cancel, in, out)
}

func (o *observed) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (written uint32, status fuse.Status) {
	defer o.end(opCopy, time.Now(), nil, &status)
	return o.RawFileSystem.CopyFileRange(cancel, in)
}
