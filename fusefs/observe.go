package fusefs

import (
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Observer is told of every request that was answered. Its method is called from many
// goroutines and must not block.
type Observer interface {
	// Operation reports a request: its name in lower case as FUSE has it, how long it
	// took, the bytes read or written, and whether the answer was an error.
	Operation(op string, took time.Duration, bytes int, failed bool)
}

// The names of the operations, in logs and in what an Observer sees.
const (
	opCopy        = "copy_file_range"
	opCreate      = "create"
	opFallocate   = "fallocate"
	opFlush       = "flush"
	opForget      = "forget"
	opFsync       = "fsync"
	opFsyncDir    = "fsyncdir"
	opGetAttr     = "getattr"
	opGetXattr    = "getxattr"
	opIoctl       = "ioctl"
	opLink        = "link"
	opListXattr   = "listxattr"
	opLookup      = "lookup"
	opLseek       = "lseek"
	opMkdir       = "mkdir"
	opMknod       = "mknod"
	opOpen        = "open"
	opOpenDir     = "opendir"
	opRead        = "read"
	opReadDir     = "readdir"
	opReadDirPlus = "readdirplus"
	opReadlink    = "readlink"
	opRelease     = "release"
	opReleaseDir  = "releasedir"
	opRemoveXattr = "removexattr"
	opRename      = "rename"
	opRmdir       = "rmdir"
	opSetAttr     = "setattr"
	opSetXattr    = "setxattr"
	opStatFS      = "statfs"
	opSymlink     = "symlink"
	opTmpfile     = "tmpfile"
	opUnlink      = "unlink"
	opWrite       = "write"
)

// observed measures every operation of a filesystem, and turns a panic into EIO: one
// broken operation is not the end of all volumes.
type observed struct {
	fuse.RawFileSystem
	asked    func() // is told of every operation; it must cost next to nothing
	observer Observer
	log      *slog.Logger
}

// end is deferred around an operation; bytes is nil for those that move none. It must be
// the deferred function itself, because recover works nowhere else.
func (o *observed) end(op string, begun time.Time, bytes *int, status *fuse.Status) {
	if cause := recover(); cause != nil {
		o.log.Error("operation panicked", "op", op, "panic", cause, "stack", string(debug.Stack()))
		*status = fuse.EIO
	}
	o.asked()
	if o.observer != nil {
		n := 0
		if bytes != nil {
			n = *bytes
		}
		o.observer.Operation(op, time.Since(begun), n, *status != fuse.OK)
	}
}

func (o *observed) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.end(opLookup, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Lookup(cancel, header, name, out)
	})
}

func (o *observed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer o.end(opGetAttr, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.GetAttr(cancel, in, out)
	})
}

func (o *observed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer o.end(opSetAttr, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.SetAttr(cancel, in, out)
	})
}

func (o *observed) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (size uint32, status fuse.Status) {
	defer o.end(opGetXattr, time.Now(), nil, &status)
	status = patient(cancel, header.Pid, func(cancel <-chan struct{}) (s fuse.Status) {
		size, s = o.RawFileSystem.GetXAttr(cancel, header, name, dest)
		return s
	})
	return size, status
}

func (o *observed) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (size uint32, status fuse.Status) {
	defer o.end(opListXattr, time.Now(), nil, &status)
	status = patient(cancel, header.Pid, func(cancel <-chan struct{}) (s fuse.Status) {
		size, s = o.RawFileSystem.ListXAttr(cancel, header, dest)
		return s
	})
	return size, status
}

func (o *observed) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) (status fuse.Status) {
	defer o.end(opSetXattr, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.SetXAttr(cancel, in, name, value)
	})
}

func (o *observed) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string) (status fuse.Status) {
	defer o.end(opRemoveXattr, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.RemoveXAttr(cancel, header, name)
	})
}

func (o *observed) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) (status fuse.Status) {
	defer o.end(opStatFS, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.StatFs(cancel, header, out)
	})
}

func (o *observed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.end(opMkdir, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Mkdir(cancel, in, name, out)
	})
}

func (o *observed) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.end(opMknod, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Mknod(cancel, in, name, out)
	})
}

func (o *observed) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.end(opLink, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Link(cancel, in, name, out)
	})
}

func (o *observed) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.end(opSymlink, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Symlink(cancel, header, target, name, out)
	})
}

func (o *observed) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) (status fuse.Status) {
	defer o.end(opUnlink, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Unlink(cancel, header, name)
	})
}

func (o *observed) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) (status fuse.Status) {
	defer o.end(opRmdir, time.Now(), nil, &status)
	return patient(cancel, header.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Rmdir(cancel, header, name)
	})
}

func (o *observed) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) (status fuse.Status) {
	defer o.end(opRename, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Rename(cancel, in, oldName, newName)
	})
}

func (o *observed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) (status fuse.Status) {
	defer o.end(opCreate, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Create(cancel, in, name, out)
	})
}

func (o *observed) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) (status fuse.Status) {
	defer o.end(opTmpfile, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Tmpfile(cancel, in, out)
	})
}

func (o *observed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer o.end(opOpen, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Open(cancel, in, out)
	})
}

func (o *observed) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (status fuse.Status) {
	defer o.end(opFlush, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Flush(cancel, in)
	})
}

func (o *observed) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer o.end(opFsync, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Fsync(cancel, in)
	})
}

func (o *observed) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) (status fuse.Status) {
	defer o.end(opIoctl, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.Ioctl(cancel, in, inbuf, out, outbuf)
	})
}

func (o *observed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer o.end(opOpenDir, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.OpenDir(cancel, in, out)
	})
}

func (o *observed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer o.end(opReadDir, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.ReadDir(cancel, in, out)
	})
}

func (o *observed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer o.end(opReadDirPlus, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.ReadDirPlus(cancel, in, out)
	})
}

func (o *observed) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer o.end(opFsyncDir, time.Now(), nil, &status)
	return patient(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status {
		return o.RawFileSystem.FsyncDir(cancel, in)
	})
}

func (o *observed) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (target []byte, status fuse.Status) {
	defer o.end(opReadlink, time.Now(), nil, &status)
	status = patient(cancel, header.Pid, func(cancel <-chan struct{}) (s fuse.Status) {
		target, s = o.RawFileSystem.Readlink(cancel, header)
		return s
	})
	return target, status
}

func (o *observed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	var n int
	defer o.end(opRead, time.Now(), &n, &status)
	result, status = o.RawFileSystem.Read(cancel, in, buf)
	if result != nil {
		n = result.Size()
	}
	return result, status
}

func (o *observed) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (written uint32, status fuse.Status) {
	var n int
	defer o.end(opWrite, time.Now(), &n, &status)
	written, status = o.RawFileSystem.Write(cancel, in, data)
	n = int(written)
	return written, status
}

func (o *observed) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	var status fuse.Status
	defer o.end(opRelease, time.Now(), nil, &status)
	o.RawFileSystem.Release(cancel, in)
}

func (o *observed) ReleaseDir(in *fuse.ReleaseIn) {
	var status fuse.Status
	defer o.end(opReleaseDir, time.Now(), nil, &status)
	o.RawFileSystem.ReleaseDir(in)
}

func (o *observed) Forget(nodeid, nlookup uint64) {
	var status fuse.Status
	defer o.end(opForget, time.Now(), nil, &status)
	o.RawFileSystem.Forget(nodeid, nlookup)
}
