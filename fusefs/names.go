package fusefs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

func (f *front) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	e, err := f.fs.Lookup(request(cancel), vfs.Ino(header.NodeId), name)
	if errors.Is(err, vfs.ErrNotExist) {
		if ttl := f.fs.NegativeTTL(); ttl > 0 {
			// Node 0 tells the kernel to remember that there is no such name.
			out.SetEntryTimeout(ttl)
			return fuse.OK
		}
	}
	return f.entry(opLookup, header.NodeId, &e, err, out)
}

func (f *front) Forget(nodeid, nlookup uint64) {
	f.fs.Forget(vfs.Ino(nodeid), nlookup)
}

func (f *front) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	e, err := f.fs.Mkdir(request(cancel), vfs.Ino(in.NodeId), name, in.Mode, creator(&in.InHeader, in.Umask))
	return f.entry(opMkdir, in.NodeId, &e, err, out)
}

func (f *front) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	e, err := f.fs.Symlink(request(cancel), vfs.Ino(header.NodeId), name, target, caller(header))
	return f.entry(opSymlink, header.NodeId, &e, err, out)
}

func (f *front) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := f.fs.Readlink(request(cancel), vfs.Ino(header.NodeId))
	return []byte(target), f.status(opReadlink, header.NodeId, err)
}

func (f *front) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.status(opUnlink, header.NodeId, f.fs.Unlink(request(cancel), vfs.Ino(header.NodeId), name))
}

func (f *front) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.status(opRmdir, header.NodeId, f.fs.Rmdir(request(cancel), vfs.Ino(header.NodeId), name))
}

func (f *front) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	err := f.fs.Rename(request(cancel), vfs.Ino(in.NodeId), oldName, vfs.Ino(in.Newdir), newName, in.Flags)
	return f.status(opRename, in.NodeId, err)
}

func (f *front) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	e, err := f.fs.Link(request(cancel), vfs.Ino(in.Oldnodeid), vfs.Ino(in.NodeId), name)
	return f.entry(opLink, in.NodeId, &e, err, out)
}

func (f *front) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	e, err := f.fs.Mknod(request(cancel), vfs.Ino(in.NodeId), name, in.Mode, in.Rdev, creator(&in.InHeader, in.Umask))
	return f.entry(opMknod, in.NodeId, &e, err, out)
}

// entry answers an operation on the directory parent that found or made an inode.
func (f *front) entry(op string, parent uint64, e *vfs.Entry, err error, out *fuse.EntryOut) fuse.Status {
	if err != nil {
		return f.status(op, parent, err)
	}
	fillEntry(out, e)
	return fuse.OK
}

func fillEntry(out *fuse.EntryOut, e *vfs.Entry) {
	out.NodeId = uint64(e.Ino)
	out.SetEntryTimeout(e.EntryTTL)
	out.SetAttrTimeout(e.AttrTTL)
	fillAttr(&out.Attr, &e.Attr)
}
