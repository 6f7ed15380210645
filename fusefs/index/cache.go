package index

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// openTables is how many table files all indexes of one Cache keep open between them.
const openTables = 256

// Cache holds what indexes have read from their files, and those files open. All volumes
// of a process share one, so that memory and descriptors are bounded by it and not by the
// number of volumes (hard-cases 34).
type Cache struct {
	blocks  *pebble.Cache
	tables  *pebble.FileCache
	recent  *recent
	indexes atomic.Uint32 // that were opened: it numbers them
}

// recentShare is the part of a cache, one in so many bytes, that is for single records.
const recentShare = 8

// NewCache returns a cache of at most size bytes.
func NewCache(size int64) *Cache {
	return &Cache{
		blocks: pebble.NewCache(size - size/recentShare),
		tables: pebble.NewFileCache(2, openTables),
		recent: newRecent(size / recentShare),
	}
}

// Close lets go of the cache. It is freed when the last index that uses it is closed.
func (c *Cache) Close() {
	c.tables.Unref()
	c.blocks.Unref()
}
