package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

func (f *front) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if err := f.fs.OpenDir(request(cancel), vfs.Ino(in.NodeId), in.Flags, in.Unique); err != nil {
		return f.status(opOpenDir, in.NodeId, err)
	}
	out.Fh = in.Unique
	return fuse.OK
}

func (f *front) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	err := f.fs.ReadDir(request(cancel), in.Fh, in.Offset, false, func(e vfs.DirEntry) bool {
		return out.AddDirEntry(dirEntry(&e))
	})
	return f.listed(opReadDir, in.NodeId, err, out)
}

// ReadDirPlus answers names with what a lookup of each would answer. An entry without
// an inode is a name alone to the kernel.
func (f *front) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	err := f.fs.ReadDir(request(cancel), in.Fh, in.Offset, true, func(e vfs.DirEntry) bool {
		entry := out.AddDirLookupEntry(dirEntry(&e))
		if entry == nil {
			return false
		}
		if e.Entry != nil {
			fillEntry(entry, e.Entry)
		}
		return true
	})
	return f.listed(opReadDirPlus, in.NodeId, err, out)
}

// listed answers a reading of the directory ino. Names that were found before an error
// are answered without it: each may have counted a lookup, and the kernel comes back for
// the rest and meets the error then.
func (f *front) listed(op string, ino uint64, err error, out *fuse.DirEntryList) fuse.Status {
	if len(out.Bytes()) > 0 {
		return fuse.OK
	}
	return f.status(op, ino, err)
}

// dirEntry leaves the cookie to the vfs: reading goes on after the name it belongs to,
// whatever came or went before it.
func dirEntry(e *vfs.DirEntry) fuse.DirEntry {
	return fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: e.Type, Off: e.Cookie}
}

func (f *front) ReleaseDir(in *fuse.ReleaseIn) {
	f.fs.ReleaseDir(in.Fh)
}

func (f *front) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.status(opFsyncDir, in.NodeId, f.fs.FsyncDir(request(cancel), in.Fh))
}
