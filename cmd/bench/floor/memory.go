package floor

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// File is a file that can only be read.
type File struct {
	Name string
	Size int64 // bytes
	// Fill writes what the file has at an offset. The kernel asks for whole pages.
	Fill func(data []byte, offset int64)
}

// Memory shows a directory with one file until ctx ends.
func Memory(ctx context.Context, f File, dir string) error {
	return serve(ctx, &memory{file: f}, dir)
}

// memory is the directory.
type memory struct {
	fs.Inode
	file File
}

// made is the file.
type made struct {
	fs.Inode
	File
}

var (
	_ fs.NodeOnAdder   = (*memory)(nil)
	_ fs.NodeGetattrer = (*made)(nil)
	_ fs.NodeOpener    = (*made)(nil)
	_ fs.NodeReader    = (*made)(nil)
)

// OnAdd makes the file when the directory is there.
func (m *memory) OnAdd(ctx context.Context) {
	m.AddChild(m.file.Name, m.NewPersistentInode(ctx, &made{File: m.file}, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

// Getattr tells the size.
func (m *made) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o444, uint64(m.Size)
	return 0
}

// Open needs nothing to be kept.
func (*made) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { return nil, 0, 0 }

// Read answers as fast as memory is copied.
func (m *made) Read(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	data = data[:max(0, min(int64(len(data)), m.Size-offset))]
	m.Fill(data, offset)
	return fuse.ReadResultData(data), 0
}
