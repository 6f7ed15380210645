package fusefs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
)

func (f *front) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, ttl, err := f.fs.GetAttr(request(cancel), vfs.Ino(in.NodeId))
	return f.attr(opGetAttr, in.NodeId, &a, ttl, err, out)
}

func (f *front) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, ttl, err := f.fs.SetAttr(request(cancel), vfs.Ino(in.NodeId), changes(in), caller(&in.InHeader))
	return f.attr(opSetAttr, in.NodeId, &a, ttl, err, out)
}

func (f *front) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s, err := f.fs.StatFS(request(cancel))
	if err != nil {
		return f.status(opStatFS, header.NodeId, err)
	}
	*out = fuse.StatfsOut{
		Blocks:  s.Blocks,
		Bfree:   s.BlocksFree,
		Bavail:  s.BlocksFree,
		Files:   s.Files,
		Ffree:   s.FilesFree,
		Bsize:   s.BlockSize,
		Frsize:  s.BlockSize,
		NameLen: s.NameMax,
	}
	return fuse.OK
}

// changes reads what a SETATTR asks for. Setuid and setgid are dropped when the kernel
// says so, when the owner changes, and when nothing at all is asked for: that is what
// remains of chown(-1, -1) and what the kernel sends for a write that it did not pass to
// us (hard-cases 19). On directories the vfs keeps them, as chown(2) does.
func changes(in *fuse.SetAttrIn) vfs.SetAttr {
	var s vfs.SetAttr
	if mode, ok := in.GetMode(); ok {
		s.Mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		s.UID = &uid
	}
	if gid, ok := in.GetGID(); ok {
		s.GID = &gid
	}
	if size, ok := in.GetSize(); ok {
		n := int64(size)
		s.Size = &n
	}
	s.Atime = timeOf(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec)
	s.Mtime = timeOf(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec)
	s.Ctime = timeOf(in.Valid, fuse.FATTR_CTIME, 0, in.Ctime, in.Ctimensec)
	if fh, ok := in.GetFh(); ok {
		s.Handle = fh
	}
	asked := in.Valid &^ (fuse.FATTR_FH | fuse.FATTR_LOCKOWNER)
	s.Unasked = asked == 0
	s.KillPriv = s.Unasked || asked&(fuse.FATTR_KILL_SUIDGID|fuse.FATTR_UID|fuse.FATTR_GID) != 0
	return s
}

// timeOf returns the time that a SETATTR sets, or nil. "Now" is the coarse clock, which
// the kernel stamps local files with: a finer one would be ahead of it (hard-cases 24).
func timeOf(valid, set, now uint32, sec uint64, nsec uint32) *time.Time {
	if valid&set == 0 {
		return nil
	}
	t := time.Unix(int64(sec), int64(nsec))
	if valid&now != 0 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err == nil {
			t = time.Unix(ts.Unix())
		}
	}
	return &t
}

// attr answers an operation that returns the attributes of ino.
func (f *front) attr(op string, ino uint64, a *vfs.Attr, ttl time.Duration, err error, out *fuse.AttrOut) fuse.Status {
	if err != nil {
		return f.status(op, ino, err)
	}
	out.SetTimeout(ttl)
	fillAttr(&out.Attr, a)
	return fuse.OK
}

func fillAttr(out *fuse.Attr, a *vfs.Attr) {
	out.Ino = uint64(a.Ino)
	out.Mode = a.Mode
	out.Nlink = a.Nlink
	out.Uid = a.UID
	out.Gid = a.GID
	out.Rdev = a.Rdev
	out.Size = uint64(a.Size)
	out.Blocks = uint64(a.Blocks)
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}
