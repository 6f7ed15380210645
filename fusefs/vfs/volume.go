package vfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// Config is what a filesystem stands on. Index, Cache, Bucket, Layout and Log are needed.
type Config struct {
	Index  *index.Index
	Cache  *cache.Cache
	Bucket objstore.Bucket
	Layout layout.Layout
	Log    *slog.Logger

	// Defaults are the attributes of objects that say nothing about themselves.
	Defaults layout.Defaults
	// TTL bounds how long a change made by another client can stay unseen.
	TTL time.Duration
	// ReadOnly refuses every change.
	ReadOnly bool
	// SyncLocal lets fsync wait for the local disk only, not for the bucket.
	SyncLocal bool
	// CloseBucket lets close(2) wait until the file is in the bucket.
	CloseBucket bool
	// CacheSize is how many bytes of clean content stay on this host; dirty content
	// does not count against it.
	CacheSize int64
	// Reserve is how many bytes of the local disk stay free: writers get ErrNoSpace.
	Reserve int64
	// PassthroughMin is from which size on, in bytes, files that are whole on this host are
	// read and written by the kernel itself; 0 is never. It needs SetPasser.
	PassthroughMin int64
	// WrittenMost is the largest file, in bytes, that is passed for writing where fsync waits
	// for the bucket: of what is written through us it is known what has changed
	// (hard-cases 21). 0 is 1 GiB.
	WrittenMost int64
	// CreatedRoom is how many bytes of the local disk must be free, above Reserve, for files to
	// be passed from their creation on, when nobody knows how large they become. 0 is never.
	CreatedRoom int64
	// LocalStore says that the bucket lies on this host, on the disk of the cache: the
	// space of one is that of the other.
	LocalStore bool
	// Host names this host in the names of conflict files.
	Host string
	// PartSize is the size of the parts of a large object, in bytes; 0 means
	// writeback.DefaultPartSize.
	PartSize int64
	// BootID names the present run of the kernel: after another one, clean content is
	// fetched again (hard-cases 4).
	BootID string
}

// FS is one volume's filesystem. Its methods may be called from many goroutines.
type FS struct {
	Config
	wb *writeback.Writeback

	rebooted bool // since the volume was last open

	ctx    context.Context // of everything that outlives a request
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex // protects what follows; a leaf
	nodes    map[Ino]*node
	handles  map[uint64]*handle
	listings map[Ino]*flight
	closed   bool
	passed   map[Ino]*passed // content files that the kernel was given
	passer   Passer          // nil where it takes none

	opens  opens
	makers makers
	ledger cache.Ledger
	evict  chan struct{}
	// evicting is held while a file is evicted. It is taken before node.mu.
	evicting sync.Mutex
	// roomMaker holds a place for the one writer that makes room on a full disk.
	roomMaker chan struct{}
	notices   notices
	looks     chan struct{} // bounds the attribute look-ups under way
	hidden    hiddenKeys
	long      longDirs

	graves     graves
	peeks      peeks
	tolds      tolds
	walks      walks
	neighbours chan struct{} // bounds the files under way that nobody asked for yet
	summing    chan struct{} // holds a place for the one file that is summed behind its landing

	mayPast      atomic.Bool  // files may be written past the kernel's pages
	pasts        atomic.Int32 // handles that write so
	aheads       atomic.Int64 // transfers under way that nobody waits for yet
	gathered     atomic.Int64 // bytes of transfers that are in memory
	wides        atomic.Int64 // transfers under way that bring more than a scattered read asked for
	worth        worth        // of a request
	hits, misses atomic.Int64
	stale        atomic.Int64
}

// looksAtOnce is how many attributes are asked for at once.
const looksAtOnce = 32

// New opens the filesystem on its local state, which may be empty, and starts sending
// what is not in the bucket yet. ctx bounds the first look at the bucket.
func New(ctx context.Context, c Config) (*FS, error) {
	c.PartSize = cmp.Or(c.PartSize, writeback.DefaultPartSize)
	if c.WrittenMost == 0 {
		c.WrittenMost = 1 << 30
	}
	fs := &FS{
		Config:   c,
		nodes:    make(map[Ino]*node),
		handles:  make(map[uint64]*handle),
		listings: make(map[Ino]*flight),
		passed:   make(map[Ino]*passed),
		evict:    make(chan struct{}, 1),
		looks:    make(chan struct{}, looksAtOnce),

		neighbours: make(chan struct{}, neighboursAtOnce),
		summing:    make(chan struct{}, 1),
		roomMaker:  make(chan struct{}, 1),
	}
	fs.hidden = newHiddenKeys()
	fs.notices.wake = make(chan struct{}, 1)
	fs.ctx, fs.cancel = context.WithCancel(context.Background())
	fs.wb = writeback.New(writeback.Config{
		Index: c.Index, Bucket: c.Bucket, Layout: c.Layout, Defaults: c.Defaults,
		Files: uploads{fs}, Host: c.Host, Log: c.Log, PartSize: c.PartSize,
	})
	if err := errors.Join(fs.root(ctx), fs.recall(), fs.reboot(), fs.sweep()); err != nil {
		fs.cancel()
		return nil, err
	}
	if err := fs.wb.Start(); err != nil {
		fs.cancel()
		return nil, err
	}
	fs.tasks.Go(fs.evictor)
	fs.tasks.Go(fs.notifier)
	fs.tasks.Go(fs.watchWriters)
	return fs, nil
}

// root makes the root directory's inode in a new index, with the attributes of its
// marker if the bucket has one.
func (fs *FS) root(ctx context.Context) error {
	if _, err := fs.Index.Inode(Root); !errors.Is(err, index.ErrNotFound) {
		return err
	}
	key := fs.Layout.Root()
	head, err := fs.Bucket.Head(ctx, key)
	found := err == nil
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return fmt.Errorf("look at the volume: %w", err)
	}
	attr, _, foreign := layout.Decode(head, true, fs.Defaults)
	return fs.Index.Update(func(tx *index.Tx) error {
		n := index.Inode{
			Ino: Root, Nlink: 1, Dir: &index.Dir{},
		}
		writeback.SetAttr(&n, attr)
		if !found {
			now := coarseNow()
			n.Atime, n.Mtime, n.Ctime = now, now, now
			return tx.PutInode(n)
		}
		n.Placed = key
		k := index.Key{Key: key, ETag: head.ETag, LastModified: head.LastModified, Size: head.Size, Owner: Root, Foreign: index.Foreign(foreign)}
		return errors.Join(tx.PutInode(n), tx.PutKey(k))
	})
}

// metaBoot is where the index keeps the boot in which it was last open.
const metaBoot = "boot"

// reboot drops clean content that was written before another boot: the disk may have
// lost bytes that the index thinks resident. Dirty content stays, as on a local disk: what
// of it is the same in its object is not known any more.
func (fs *FS) reboot() error {
	last, err := fs.Index.Meta(metaBoot)
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		return err
	}
	if string(last) == fs.BootID {
		return nil
	}
	fs.rebooted = len(last) > 0
	var clean, dirty []Ino
	err = fs.Index.Contents(func(ino Ino, c index.Content) bool {
		if n, err := fs.Index.Inode(ino); err == nil && c.File != 0 {
			if isClean(n) {
				clean = append(clean, ino)
			} else {
				dirty = append(dirty, ino)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return fs.Index.Update(func(tx *index.Tx) error {
		for _, ino := range clean {
			n, err := tx.Inode(ino)
			if err != nil {
				return err
			}
			if _, err := dropContent(tx, n); err != nil {
				return err
			}
		}
		for _, ino := range dirty {
			c, err := tx.Content(ino)
			if err != nil {
				return err
			}
			c.Change(0, math.MaxInt64)
			if err := tx.PutContent(ino, c); err != nil {
				return err
			}
		}
		return tx.PutMeta(metaBoot, []byte(fs.BootID))
	})
}

// sweep removes what a crash left: unlinked inodes, and content files that no inode
// has. The ledger learns what is there.
func (fs *FS) sweep() error {
	var orphans []Ino
	if err := fs.Index.Orphans(func(ino Ino) bool { orphans = append(orphans, ino); return true }); err != nil {
		return err
	}
	for _, ino := range orphans {
		if err := fs.bury(ino); err != nil {
			return err
		}
	}
	lost := make(map[Ino]uint64)
	err := fs.Index.Contents(func(ino Ino, c index.Content) bool {
		if c.File != 0 {
			if err := fs.keepSmall(ino, c); err != nil {
				fs.Log.Error("content was lost with the power, before it was synced", "inode", uint64(ino), "error", err)
				lost[ino] = c.File
			}
			n, err := fs.Index.Inode(ino)
			fs.ledger.Set(uint64(ino), c.Resident.Size(), err == nil && isClean(n))
		}
		return true
	})
	if err != nil {
		return err
	}
	for ino, file := range lost {
		if err := fs.Cache.Remove(uint64(ino), file); err != nil {
			return err
		}
	}
	fs.Cache.Kept()
	return fs.Cache.Walk(func(ino, gen uint64, _ string) error {
		if c, err := fs.Index.Content(Ino(ino)); err != nil || c.File == gen {
			return err
		}
		return fs.Cache.Remove(ino, gen)
	})
}

// keepSmall keeps what an inode has in a shared file. After another boot it reports what a
// power cut took: there zeros would be read, where a file of its own ends early.
func (fs *FS) keepSmall(ino Ino, c index.Content) (lost error) {
	if !cache.IsSmall(c.File) || !fs.Cache.Keep(c.File) || !fs.rebooted {
		return nil
	}
	f, err := fs.Cache.OpenFile(uint64(ino), c.File)
	if err != nil {
		return nil // who needs it meets the error again
	}
	defer func() { _ = f.Close() }() // read only
	for _, r := range c.Resident.Ranges() {
		if hole, err := f.Find(r.Off, false); err == nil && hole < r.End || errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("%w at %d of %d bytes", io.ErrUnexpectedEOF, hole, r.End)
		}
	}
	return nil
}

// State are the numbers of a volume that metrics and status show.
type State struct {
	DirtyFiles int
	DirtyBytes int64
	DirtySince time.Time // when the oldest of it was changed; zero if nothing is dirty
	Queue      int
	CacheBytes int64
	CacheHits  int64 // reads answered from this host
	CacheMiss  int64 // reads that asked the bucket
	// Small files that were fetched before anybody read them, and those of them that nobody
	// read in the end; with their bytes.
	Ahead, AheadBytes, Wasted, WastedBytes int64
	Stale                                  int64 // answers given although the bucket did not confirm them in time
	Conflicts                              int64
	Hidden                                 map[layout.Hidden]int // keys of other tools that are not shown, as far as listings found them
	LastError                              error
	Opens                                  Opens
}

// State returns the numbers of now. It reads the queue of the index.
func (fs *FS) State() State {
	s := State{
		Queue: fs.wb.QueueLength(), DirtySince: fs.wb.Oldest(), CacheBytes: fs.ledger.Total(),
		CacheHits: fs.hits.Load(), CacheMiss: fs.misses.Load(), Stale: fs.stale.Load(),
		Ahead: fs.walks.fetched.Load(), AheadBytes: fs.walks.fetchedBytes.Load(),
		Wasted: fs.walks.wasted.Load(), WastedBytes: fs.walks.wastedBytes.Load(),
		Conflicts: fs.wb.Conflicts(), Hidden: fs.hiddenTotal(), LastError: fs.wb.LastError(),
		Opens: fs.opens.state(),
	}
	if p, err := fs.wb.Pending(1); err == nil {
		s.DirtyFiles, s.DirtyBytes = p.Files, p.Bytes
	}
	return s
}

// Close stops all work and waits for it. What is not in the bucket stays in the index.
// The index and the cache stay open: they are the caller's.
func (fs *FS) Close() {
	fs.mu.Lock()
	fs.closed = true
	fs.mu.Unlock()
	fs.cancel()
	fs.wb.Close()
	fs.tasks.Wait()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, n := range fs.nodes {
		n.closeFile()
		if n.phase != nil {
			_ = n.phase.file.Close() // read only
		}
	}
	fs.Cache.Close()
}

// begin announces work that Close waits for until its tasks.Done; after Close it is not
// to be done.
func (fs *FS) begin() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return false
	}
	fs.tasks.Add(1)
	return true
}
