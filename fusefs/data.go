package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

func (f *front) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	e, opened, err := f.fs.Create(request(cancel), vfs.Ino(in.NodeId), name, in.Mode, in.Flags, in.Unique, creator(&in.InHeader, in.Umask))
	if err != nil {
		return f.status(opCreate, in.NodeId, err)
	}
	fillEntry(&out.EntryOut, &e)
	fillOpen(&out.OpenOut, in.Unique, opened)
	return fuse.OK
}

// Tmpfile makes a file without a name: O_TMPFILE.
func (f *front) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	e, opened, err := f.fs.Tmpfile(request(cancel), vfs.Ino(in.NodeId), in.Mode, in.Flags, in.Unique, creator(&in.InHeader, in.Umask))
	if err != nil {
		return f.status(opTmpfile, in.NodeId, err)
	}
	fillEntry(&out.EntryOut, &e)
	fillOpen(&out.OpenOut, in.Unique, opened)
	return fuse.OK
}

func (f *front) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	ctx, ino := request(cancel), vfs.Ino(in.NodeId)
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		// Before the file is truncated, so that no error leaves it changed and privileged.
		if err := f.fs.DropPriv(ctx, ino, caller(&in.InHeader)); err != nil {
			return f.status(opOpen, in.NodeId, err)
		}
	}
	opened, err := f.fs.Open(ctx, ino, in.Flags, in.Unique)
	if err != nil {
		return f.status(opOpen, in.NodeId, err)
	}
	fillOpen(out, in.Unique, opened)
	return fuse.OK
}

func fillOpen(out *fuse.OpenOut, fh uint64, opened vfs.OpenResult) {
	out.Fh = fh
	if opened.NoFlush {
		out.OpenFlags |= fuse.FOPEN_NOFLUSH
	}
	if opened.Direct {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	}
	switch {
	case opened.Backing != 0:
		out.OpenFlags |= fuse.FOPEN_PASSTHROUGH
		out.BackingID = opened.Backing
	case opened.KeepCache:
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
}

func (f *front) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, err := f.fs.ReadOr(request(cancel), in.Fh, int64(in.Offset), buf, func(fd uintptr, off int64, n int) bool {
		return n >= spliceLeast && f.pipes.fill(in.Unique, fd, off, n)
	})
	if err != nil {
		return nil, f.status(opRead, in.NodeId, err)
	}
	return inPlace(buf[:n]), fuse.OK
}

// inPlace is the result of a read into the buffer that the reply is sent from: unlike
// fuse.ReadResultData it is not copied onto itself.
type inPlace []byte

func (r inPlace) Size() int { return len(r) }

func (r inPlace) Bytes([]byte) ([]byte, fuse.Status) { return r, fuse.OK }

func (r inPlace) Readv([][]byte) (int, fuse.Status) { return len(r), fuse.OK }

func (r inPlace) Done() {}

// Write hands down the bytes of the request itself. They are gone when it returns.
func (f *front) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	ctx := request(cancel)
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		if err := f.fs.DropPriv(ctx, vfs.Ino(in.NodeId), caller(&in.InHeader)); err != nil {
			return 0, f.status(opWrite, in.NodeId, err)
		}
	}
	write := f.fs.Write
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		write = f.fs.Store
	}
	n, err := write(ctx, in.Fh, int64(in.Offset), data)
	return uint32(n), f.status(opWrite, in.NodeId, err)
}

// Flush is what close(2) waits for: once for each descriptor that is closed.
func (f *front) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return f.status(opFlush, in.NodeId, f.fs.Flush(request(cancel), in.Fh))
}

func (f *front) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.status(opFsync, in.NodeId, f.fs.Fsync(request(cancel), in.Fh, dataOnly(in)))
}

// dataOnly reports whether fdatasync(2) was called.
func dataOnly(in *fuse.FsyncIn) bool { return in.FsyncFlags&1 != 0 }

// Release follows the last close of a handle. Nobody waits for it.
func (f *front) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f.fs.Release(in.Fh)
}

// Ioctl knows no command. ENOSYS would say that the call itself is missing.
func (f *front) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}
