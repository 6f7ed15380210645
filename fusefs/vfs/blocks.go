package vfs

import "objvol/fusefs/index"

// Units of space, in bytes: of st_blocks, and in which a local disk gives it out.
const (
	blockUnit = 512
	diskBlock = 4096
)

// blocks is what stat(2) says that an inode takes: what a local disk would need for it,
// wherever the bytes are now. Holes take nothing, reserved space does.
func (fs *FS) blocks(n index.Inode) int64 {
	if isRegular(n) {
		if st, ok := fs.statPassed(n.Ino); ok {
			return st.Allocated / blockUnit
		}
		if c, err := fs.Index.Content(n.Ino); err == nil {
			return allocated(c, n.Size) * (diskBlock / blockUnit)
		}
	}
	return (n.Size + blockUnit - 1) / blockUnit
}

// allocated is the number of blocks of a local disk that a content of a size needs.
func allocated(c index.Content, size int64) int64 {
	blocks := c.Resident.Blocks(diskBlock)
	for _, a := range c.Absent(0, size) {
		blocks += (a.Len() + diskBlock - 1) / diskBlock
	}
	return blocks
}
