package fusefs

import (
	"strings"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

func (f *front) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	value, err := f.fs.GetXattr(request(cancel), vfs.Ino(header.NodeId), name)
	if err != nil {
		return 0, f.status(opGetXattr, header.NodeId, err)
	}
	return copyXattr(dest, value)
}

func (f *front) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	names, err := f.fs.ListXattr(request(cancel), vfs.Ino(header.NodeId), caller(header))
	if err != nil {
		return 0, f.status(opListXattr, header.NodeId, err)
	}
	var list strings.Builder
	for _, name := range names {
		list.WriteString(name + "\x00")
	}
	return copyXattr(dest, list.String())
}

// copyXattr answers with a value, or with its size where the caller has less room.
func copyXattr(dest []byte, value string) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.Status(syscall.ERANGE)
	}
	return uint32(copy(dest, value)), fuse.OK
}

func (f *front) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	err := f.fs.SetXattr(request(cancel), vfs.Ino(in.NodeId), name, string(value), vfs.XattrFlags(in.Flags), killsSetGID(in, name, value))
	return f.status(opSetXattr, in.NodeId, err)
}

// killsSetGID reads the flags of the request's longer form (SETXATTR_EXT). In the form of
// kernels that do not have it, the name begins in their place.
func killsSetGID(in *fuse.SetXAttrIn, name string, value []byte) bool {
	long := in.Length == uint32(unsafe.Sizeof(*in))+uint32(len(name)+1+len(value))
	return long && in.SetXAttrFlags&fuse.SETXATTR_ACL_KILL_SGID != 0
}

func (f *front) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.status(opRemoveXattr, header.NodeId, f.fs.RemoveXattr(request(cancel), vfs.Ino(header.NodeId), name))
}
