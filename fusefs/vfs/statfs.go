package vfs

import "context"

// What StatFS tells of a store that is reached by the network: it has no end that it would
// tell, and every program shall write.
const (
	blockSize   = 4096    // bytes
	storeBlocks = 1 << 38 // 1 PiB
)

// StatFS returns the size of the volume: of a local store that of the disk, which it
// shares with others.
func (fs *FS) StatFS(context.Context) (Statfs, error) {
	var total, free uint64 = storeBlocks, storeBlocks
	if fs.LocalStore {
		left, all, err := fs.Cache.Free(fs.Reserve)
		if err != nil {
			return Statfs{}, err
		}
		total, free = uint64(all/blockSize), uint64(left/blockSize)
	}
	return Statfs{
		BlockSize: blockSize, Blocks: total, BlocksFree: free,
		Files: total, FilesFree: free, // a file takes a block at least
		NameMax: nameMax,
	}, nil
}
