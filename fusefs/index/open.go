package index

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// format is the newest of Pebble's formats after which a log that was cut short anywhere is
// still read up to the cut (hard-cases 3).
const format = pebble.FormatColumnarBlocks

// ErrClosed is answered by an index that was closed.
var ErrClosed = errors.New("index is closed")

// Options are what an index may be told. The zero value works.
type Options struct {
	// Cache is shared with other indexes. Without one, the index has one of 8 MiB.
	Cache *Cache
	// Log hears what happens to the store; nothing is logged without it.
	Log *slog.Logger
	// OnFailure is told once, in a goroutine of its own, that the index can no longer be
	// written.
	OnFailure func(error)
}

// Index is one volume's index. Its methods may be called from any goroutine.
type Index struct {
	reader

	db      *pebble.DB
	fs      *walFS
	failure *failure
	id      string

	mu     sync.Mutex // the lock of all writing; held over a whole transaction
	closed bool
	next   uint64 // the next number of the counter
	limit  uint64 // the first number that is not reserved yet

	written []written // room for the writes of a transaction

	// Of transactions that changed more than times: how many were committed, and how many of
	// them, at least, survive a power cut.
	committed, lasting atomic.Uint64
}

// Open opens the index in dir, and makes both if they are not there. Only one process, and
// it only once, has an index open.
func Open(dir string, opts Options) (*Index, error) {
	return open(dir, opts, vfs.Default, memTableSize)
}

// memTableSize is how many bytes of recent transactions are kept in memory before they are
// written to a table, and how large a log grows.
const memTableSize = 1 << 20

func open(dir string, opts Options, disk vfs.FS, memTable uint64) (*Index, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cache := opts.Cache
	if cache == nil {
		cache = NewCache(8 << 20)
		defer cache.Close()
	}
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	ballast := disk.PathJoin(dir, "ballast")
	switch err := keepBallast(disk, ballast); {
	case errors.Is(err, syscall.ENOSPC):
		// Pebble would get as far as its first log and stay there, with its lock.
		return nil, fmt.Errorf("index: open %s: %w", dir, err)
	case err != nil:
		log.Warn("index has no disk space in reserve", "err", err)
	}
	failure := newFailure(log, opts.OnFailure)
	fs := &walFS{failure: failure}
	fs.FS = vfs.OnDiskFull(disk, func() {
		if err := disk.Remove(ballast); err == nil {
			log.Warn("disk is full, the index gave up its reserve")
		}
	})
	x := &Index{fs: fs, failure: failure}
	err := failure.guard(func() (err error) {
		x.db, err = pebble.Open(dir, settings(fs, cache, memTable))
		return err
	})
	if err != nil {
		failure.end()
		return nil, fmt.Errorf("index: open %s: %w", dir, err)
	}
	committed := &store{db: x.db, recent: cache.recent, number: cache.indexes.Add(1)}
	x.reader = reader{store: committed, seen: new(seen)}
	if err := x.begin(); err != nil {
		return nil, fmt.Errorf("index: open %s: %w", dir, errors.Join(err, x.Close()))
	}
	return x, nil
}

// settings are Pebble's. Records are small and volumes many, so everything is small.
func settings(fs *walFS, cache *Cache, memTable uint64) *pebble.Options {
	log := logger{fs.failure}
	o := &pebble.Options{
		FS:                    fs,
		Logger:                log,
		Cache:                 cache.blocks,
		FileCache:             cache.tables,
		FormatMajorVersion:    format,
		MemTableSize:          memTable,
		L0CompactionThreshold: 4,
		// Writing waits when memory is full of what is being flushed, or when compaction is
		// this far behind: importing a large listing should meet neither.
		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       32,
		LBaseMaxBytes:               16 << 20,
		EventListener: &pebble.EventListener{
			// Without this, a reader that meets a bad block would be parked. It gets its
			// error instead, and no more is written on top.
			DataCorruption: func(info pebble.DataCorruptionInfo) { fs.failure.set(info.Details) },
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	// Reads that schedule compactions would take Pebble's lock.
	o.Experimental.ReadSamplingMultiplier = -1
	o.EnsureDefaults()
	return o
}

// Close writes out what is only in the kernel and closes the index. Everything that reads
// it must have ended. Closing again does nothing. A failed index is left as it is, and its
// failure returned.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	x.store.recent.forget(x.store.number)
	if err := x.failure.get(); err != nil {
		return err
	}
	defer x.failure.end()
	if err := x.failure.guard(x.db.Close); err != nil {
		return fmt.Errorf("index: close: %w", err)
	}
	return nil
}
