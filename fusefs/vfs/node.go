package vfs

import (
	"errors"
	"sync"
	"sync/atomic"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
)

// node is what is kept in memory of a file that is open, or read or sent at this moment.
type node struct {
	ino     Ino
	refs    int // FS.mu
	handles int // FS.mu
	writers int // those of the handles that may write. FS.mu
	// several: it has had more than one handle at once since it was opened. FS.mu, but for
	// reading.
	several atomic.Bool
	// pasts are those of the handles that write past the kernel's pages. FS.mu
	pasts int
	// forgotten: the kernel has forgotten the inode, before its last handle was gone. FS.mu
	forgotten bool

	// mu is held for reading while content is read or absent bytes come (keep.go), and alone
	// while it changes.
	mu sync.RWMutex
	// mediated and phase say how the file's bytes are reached while it is open
	// (passthrough.go). mu protects them.
	mediated bool
	phase    *phase
	// created: it was created by the thread maker, and not closed since. mu protects them.
	created bool
	maker   uint32
	// sent is the highest generation of which an upload was begun: a write to it makes
	// the next one. mu protects it.
	sent uint64
	// granted is how many bytes may be written before the next look at the local disk
	// (room). mu protects it.
	granted int64

	// over is what was written past the kernel's pages and not answered yet. mu protects it.
	over []extent.Range

	// head is the end of what was written in sequence from the beginning of the file, told the
	// one at which the write-back wants to know of it, or of the size of a passed file. mu
	// protects them.
	head, told int64
	// streamed is when a part of the file was last sent because it grew, in Unix nanoseconds.
	streamed atomic.Int64

	transfers transfers
	scattered scattered
	held      atomic.Int32 // those for whom the content is not evicted (hold)
	filling   sync.Mutex   // held while fetched bytes are written to the content file; a leaf

	// When the file was written to last, and since when the write-back is to be told that
	// it differs (0: it was told), in Unix nanoseconds.
	lastWrite, differsSince atomic.Int64

	files sync.Mutex // protects file; a leaf
	file  *sharedFile

	errs     sync.Mutex // protects what follows, and handle.reported; a leaf
	failed   uint64     // uploads that failed so far
	failedBy error      // the last one's reason
}

// sharedFile is an open content file with the number of those who use it.
type sharedFile struct {
	*cache.File
	gen  uint64
	uses int
}

// acquire returns the node of an inode, which stays until release.
func (fs *FS) acquire(ino Ino) *node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, ok := fs.nodes[ino]
	if !ok {
		n = &node{ino: ino}
		fs.nodes[ino] = n
	}
	n.refs++
	return n
}

func (fs *FS) release(n *node) {
	fs.mu.Lock()
	n.refs--
	last := n.refs == 0
	if last {
		delete(fs.nodes, n.ino)
	}
	fs.mu.Unlock()
	if last {
		n.closeFile()
	}
}

// peek returns the node of an inode if there is one, without keeping it.
func (fs *FS) peek(ino Ino) *node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.nodes[ino]
}

// open returns the content file of a generation. It stays open until done is called.
func (n *node) open(c *cache.Cache, gen uint64) (f *cache.File, done func(), err error) {
	n.files.Lock()
	defer n.files.Unlock()
	if n.file == nil || n.file.gen != gen {
		f, err := c.OpenFile(uint64(n.ino), gen)
		if err != nil {
			return nil, nil, err
		}
		n.replaceLocked(&sharedFile{File: f, gen: gen, uses: 1})
	}
	return n.useLocked()
}

// create makes the content file of a new generation.
func (n *node) create(c *cache.Cache, gen uint64) error {
	f, err := c.Create(uint64(n.ino), gen)
	if err != nil {
		return err
	}
	n.use(f, gen)
	return nil
}

// createSmall makes a content in a shared file and returns its generation.
func (n *node) createSmall(c *cache.Cache) (uint64, error) {
	f, gen, err := c.CreateSmall()
	if err == nil {
		n.use(f, gen)
	}
	return gen, err
}

func (n *node) use(f *cache.File, gen uint64) {
	n.files.Lock()
	defer n.files.Unlock()
	n.replaceLocked(&sharedFile{File: f, gen: gen, uses: 1})
}

func (n *node) useLocked() (*cache.File, func(), error) {
	s := n.file
	s.uses++
	return s.File, func() {
		n.files.Lock()
		defer n.files.Unlock()
		s.dropLocked()
	}, nil
}

func (n *node) replaceLocked(s *sharedFile) {
	if n.file != nil {
		n.file.dropLocked()
	}
	n.file = s
}

// dropLocked ends one use. A content file was written through the descriptor before, so
// that closing it can lose nothing.
func (s *sharedFile) dropLocked() {
	if s.uses--; s.uses == 0 {
		_ = s.Close()
	}
}

// closeFile lets go of the content file. It is opened again when needed.
func (n *node) closeFile() {
	n.files.Lock()
	defer n.files.Unlock()
	n.replaceLocked(nil)
}

// fail notes a failed upload for the handles that are open.
func (n *node) fail(err error) {
	n.errs.Lock()
	defer n.errs.Unlock()
	n.failed++
	n.failedBy = err
}

func (n *node) failures() uint64 {
	n.errs.Lock()
	defer n.errs.Unlock()
	return n.failed
}

// failure returns, once for each handle, that uploads failed since it last asked.
func (n *node) failure(h *handle) error {
	n.errs.Lock()
	defer n.errs.Unlock()
	if h.reported == n.failed {
		return nil
	}
	h.reported = n.failed
	return errors.Join(errUpload, n.failedBy)
}

var errUpload = errors.New("the file could not be sent to the bucket and is kept on this host")
