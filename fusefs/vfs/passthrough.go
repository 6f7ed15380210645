package vfs

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
)

// Passthrough: the kernel is given a content file, and reads, writes and maps it for
// programs without asking. How an inode's bytes are reached is chosen at its first open and
// kept to its last release, because the kernel knows one way for an inode at a time: through
// us (mediated), or by its content file (passed), which must not be replaced meanwhile.
// What was done to a passed file is found in absorb.go, who may still do it in settle.go.

// Passer lets the kernel use content files itself. It is implemented by the FUSE front and
// calls nobody.
type Passer interface {
	// Register gives the kernel an open file. The id, which is never 0, stands for it until
	// Release.
	Register(fd uintptr) (id int32, err error)
	Release(id int32)
}

// passedSpare is how many bytes of the local disk, beside the reserve, must be free for
// files to be passed for writing: nobody refuses a write that we do not see (hard-cases 11).
const passedSpare = 256 << 20

// passed is what is known of a content file that the kernel was given, now or before. Who
// changes it holds node.mu and FS.mu, who reads it one of them; taken, followed, seen and sums need node.mu alone.
type passed struct {
	file uint64 // its generation; immutable
	// phase: the inode is open in this way.
	phase bool
	// open is index.Passed.Open: the file may change behind our back.
	open bool
	// direct: it was opened for writing with O_DIRECT while open was set. Such writes can be
	// under way although no write(2) is.
	direct bool
	// stale: pages that the kernel keeps of the inode, from before the phase, may be older
	// than the file.
	stale bool

	taken bool // absorb found changes whose bytes are not counted yet
	// followed is index.Passed.Followed.
	followed time.Time
	sums     index.Sums    // of what is being sent; Gen is 0 for none
	seen     cache.Stat    // size and modification time when absorb last looked
	next     time.Time     // when to look again
	pause    time.Duration // between the last look and the next
}

// record is what the index has to know. The caller holds the lock of its node.
func (p *passed) record(open bool) index.Passed {
	return index.Passed{File: p.file, Open: open, Followed: p.followed}
}

// phase is an inode's use by the kernel, from its first open to its last release.
type phase struct {
	file  *cache.File // for reading
	to    Passer
	id    int32
	begun time.Time
	read  time.Time // the access time of the file when it was last looked at
}

// opens counts how files were opened.
type opens struct {
	passed, mediated atomic.Int64
	refused          atomic.Int64 // that could have been passed, but for an error
	changes          atomic.Int64 // that absorb found
	changedBytes     atomic.Int64 // of them, when they were sent
	nanos            atomic.Int64 // from first opens to last releases of passed files
	logged           sync.Once
}

// Opens counts how files were opened since the volume was.
type Opens struct {
	Passed, Mediated int64
	Refused          int64         // first opens that an error kept from being passed
	Changes          int64         // times that a passed file was found changed
	ChangedBytes     int64         // that were found changed when they were sent
	PassedFor        time.Duration // sum over passed files, from first open to last release
}

func (o *opens) state() Opens {
	return Opens{
		Passed: o.passed.Load(), Mediated: o.mediated.Load(), Refused: o.refused.Load(),
		Changes: o.changes.Load(), ChangedBytes: o.changedBytes.Load(), PassedFor: time.Duration(o.nanos.Load()),
	}
}

// SetPasser lets files be passed from now on, if the local disk shows what is done to them.
func (fs *FS) SetPasser(to Passer) {
	if fs.PassthroughMin == 0 {
		return
	}
	if err := fs.Cache.CanPass(); err != nil {
		fs.Log.Warn("files are served without passthrough", "error", err)
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.passer = to
}

// canPass reports whether the kernel is given files.
func (fs *FS) canPass() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.passer != nil
}

// passedOf returns what is known of an inode's content file, nil if it was never passed.
func (fs *FS) passedOf(ino Ino) *passed {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.passed[ino]
}

// isPassed reports whether an inode's content file must stay: programs use it, or may.
func (fs *FS) isPassed(ino Ino) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	p := fs.passed[ino]
	return p != nil && (p.phase || p.open)
}

// mayBePassed reports whether an inode's content file has been given to the kernel, or may have
// been when n was read.
func (fs *FS) mayBePassed(n index.Inode) bool {
	return isRegular(n) && (n.Size >= fs.PassthroughMin || fs.CreatedRoom > 0) && fs.canPass() || fs.isPassed(n.Ino)
}

// mayDiffer reports whether an inode's content file may change behind our back.
func (fs *FS) mayDiffer(ino Ino) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	p := fs.passed[ino]
	return p != nil && p.open
}

// set changes a passed. The caller holds the lock of its node.
func (fs *FS) set(fn func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fn()
}

// enter tells the kernel how to reach the bytes of a file that is being opened.
func (fs *FS) enter(h *handle, n index.Inode, flags uint32) (OpenResult, error) {
	nd := h.node
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if !nd.mediated && nd.phase == nil {
		if err := fs.choose(h, n); err != nil {
			return OpenResult{}, err
		}
	}
	p := fs.passedOf(nd.ino)
	if nd.phase == nil {
		fs.opens.mediated.Add(1)
		if fs.goesPast(h, n, flags) {
			fs.startPast(h)
		}
		return OpenResult{Direct: h.past, KeepCache: !fs.reread(n, flags) && (p == nil || !p.stale)}, nil
	}
	r := OpenResult{Backing: nd.phase.id}
	if h.write {
		if err := fs.intend(nd, p, h.direct); err != nil {
			return OpenResult{}, err
		}
		r.Direct = !fs.admits(h, n)
		h.calls = r.Direct && h.synced
	}
	fs.opens.passed.Add(1)
	return r, nil
}

// choose decides how an inode's bytes are reached that nobody has open. What keeps a file
// from being passed lets it be mediated. The caller holds h.node.mu.
func (fs *FS) choose(h *handle, n index.Inode) error {
	nd := h.node
	fs.mu.Lock()
	to := fs.passer
	fs.mu.Unlock()
	nd.mediated = true
	if to == nil || fs.PassthroughMin == 0 || !isRegular(n) || n.Size < fs.PassthroughMin && (!nd.created || fs.CreatedRoom == 0) {
		return nil
	}
	if err := fs.absorb(nd); err != nil {
		return err
	}
	before := n.Size
	n, c, err := fs.content(nd.ino)
	switch {
	case err != nil:
		return err
	case n.Size == 0 && !fs.passesEmpty(h, before):
		return nil
	case n.Size > 0 && (n.Size < fs.PassthroughMin || c.File == 0), len(c.Absent(0, n.Size)) > 0, h.write && !fs.admits(h, n):
		return nil
	}
	if c.File == 0 || cache.IsSmall(c.File) {
		// The kernel cannot be given a part of a file.
		if c, err = fs.localFile(nd, c, cache.SmallMost+1); err == nil {
			c, err = fs.recordFile(nd, c)
		}
	}
	if err == nil {
		err = fs.pass(nd, n, c, to)
	}
	if err != nil && !errors.Is(err, errBusy) {
		fs.opens.refused.Add(1)
		fs.opens.logged.Do(func() {
			fs.Log.Warn("a file is not given to the kernel, and is served as without passthrough; this is logged once", "error", err)
		})
	}
	nd.mediated = err != nil
	return nil
}

// admits reports whether a file may be passed to a writer. Of a write that shall wait for the
// bucket the kernel would tell us nothing.
func (fs *FS) admits(h *handle, n index.Inode) bool {
	if h.synced || !fs.SyncLocal && n.Size > fs.WrittenMost {
		return false
	}
	free, _, err := fs.Cache.Free(fs.Reserve)
	return err == nil && free >= passedSpare
}

// errBusy is a content file that cannot be passed at this moment.
var errBusy = errors.New("the content file is in use")

// pass gives the kernel a content file. The caller holds nd.mu.
func (fs *FS) pass(nd *node, n index.Inode, c index.Content, to Passer) (err error) {
	if err := fs.exact(nd, n, c); err != nil {
		return err
	}
	nd.closeFile()
	f, err := fs.Cache.OpenRead(uint64(nd.ino), c.File)
	if err != nil {
		return err
	}
	ph := &phase{file: f, to: to, begun: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := ph.unread(); err != nil {
		return err
	}
	p := fs.passedOf(nd.ino)
	if p == nil || p.file != c.File {
		p = &passed{file: c.File}
	}
	if !p.open {
		if err := fs.watchable(f, p, n.Size); err != nil {
			return err
		}
	}
	if ph.id, err = to.Register(f.Fd()); err != nil {
		return err
	}
	err = fs.Index.Update(func(tx *index.Tx) error {
		if now, err := tx.Content(nd.ino); err != nil || now.File != c.File {
			return errors.Join(errBusy, err) // evicted or replaced
		}
		// From here on nobody replaces it: they ask inside a transaction.
		fs.set(func() {
			p.phase = true
			fs.passed[nd.ino] = p
		})
		return tx.PutPassed(nd.ino, p.record(p.open))
	})
	if err != nil {
		to.Release(ph.id)
		fs.set(func() { p.phase = false })
		return err
	}
	nd.phase = ph
	return nil
}

// watchable prepares a content file that nobody but us can have open for writing: changes will
// show from now on.
func (fs *FS) watchable(f *cache.File, p *passed, size int64) error {
	switch alone, err := f.Unwritten(); {
	case err != nil:
		return err // then it could never be known who still writes to it
	case !alone:
		return errBusy
	}
	if err := f.Mark(); err != nil {
		return err
	}
	p.seen = cache.Stat{Size: size, Mtime: cache.Marked}
	return nil
}

// exact makes a content file, of which nothing is absent, what the file is to the byte: as
// long, and zeros where the index knows of zeros. The caller holds nd.mu.
func (fs *FS) exact(nd *node, n index.Inode, c index.Content) error {
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	for _, z := range c.Zeros(0, n.Size) {
		if err := f.Punch(z.Off, z.Len()); err != nil {
			return err
		}
	}
	st, err := f.Stat()
	if err != nil || st.Size == n.Size {
		return err
	}
	return f.Truncate(n.Size)
}

// intend records, before anybody can change a content file behind our back, that it may
// happen: after a crash it is compared then. What of it is the same in the object is not
// known from here on. The caller holds nd.mu.
func (fs *FS) intend(nd *node, p *passed, direct bool) error {
	if !p.open {
		if err := fs.sumBase(nd, p); err != nil {
			return err
		}
		err := fs.Index.Update(func(tx *index.Tx) error {
			return errors.Join(unsame(tx, nd.ino), tx.PutPassed(nd.ino, p.record(true)))
		})
		if err != nil {
			return err
		}
		// What the kernel remembers of its times would hide those of stores through a mapping
		// (hard-cases 20).
		fs.notices.inode(nd.ino)
	}
	fs.set(func() {
		p.open = true
		p.direct = p.direct || direct
		p.next, p.pause = time.Now().Add(restLook), 0
	})
	return nil
}

// endPhase takes a content file from the kernel after an inode's last release. The caller
// holds nd.mu.
func (fs *FS) endPhase(nd *node) {
	nd.mediated = false
	fs.judge(nd)
	p, ph := fs.passedOf(nd.ino), nd.phase
	if ph == nil {
		if p != nil {
			fs.set(func() { p.stale = false }) // the kernel has read it anew, or nothing
		}
		return
	}
	nd.phase = nil
	ph.to.Release(ph.id)
	fs.opens.nanos.Add(int64(time.Since(ph.begun)))
	if err := ph.file.Close(); err != nil {
		fs.Log.Warn("close a content file", "inode", uint64(nd.ino), "error", err)
	}
	fs.set(func() { p.phase, p.stale = false, true })
	if err := fs.settle(nd, p); err != nil {
		fs.Log.Warn("a content file was not looked at after its last close", "inode", uint64(nd.ino), "error", err)
	}
}
