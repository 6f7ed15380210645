package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
)

// open(2)'s flags, as they arrive from the kernel.
const (
	accessMode = 0o3
	readOnly   = 0o0
	openExcl   = 0o200
	openTrunc  = 0o1000

	openSynced  = 0o10000 // O_DSYNC, which is a part of O_SYNC
	openDirect  = 0o40000
	openNoAtime = 0o1000000
)

// handle is an open file or directory. It is immutable but for its errors, its window and
// its telling.
type handle struct {
	ino   Ino
	node  *node // nil for directories
	write bool
	// direct: written to with O_DIRECT.
	direct bool
	// synced: each write waits for the bucket (O_SYNC, O_DSYNC). The kernel asks for that, but
	// for a handle that comes to us beside others that do not (enter): then calls is set.
	synced, calls bool
	// past: it writes past the kernel's pages (past.go).
	past bool
	// noAtime: reading leaves no access time (O_NOATIME).
	noAtime bool
	window  window
	// along is the listing that was under way when a directory was opened, nil for none.
	along *flight
	// telling is how a directory is read. tolds.mu protects it.
	telling telling
	// reported is how many failed uploads of the inode this handle was told of.
	// node.errs protects it.
	reported uint64
}

// Open opens a file as the handle fh.
func (fs *FS) Open(ctx context.Context, ino Ino, flags uint32, fh uint64) (OpenResult, error) {
	// The handle comes first: an inode that is unlinked at this moment stays for it.
	h := fs.newHandle(fh, ino, flags)
	n, err := fs.mayOpen(ctx, ino, flags)
	var r OpenResult
	if err == nil {
		// When the bucket's content changes, the kernel's pages are dropped then.
		r, err = fs.enter(h, n, flags)
		r.NoFlush = !h.write // who only reads hears of failed uploads from fsync alone
	}
	if err != nil {
		fs.dropHandle(fh)
	}
	return r, err
}

func (fs *FS) mayOpen(ctx context.Context, ino Ino, flags uint32) (index.Inode, error) {
	n, err := fs.known(ctx, ino)
	if err != nil {
		return n, err
	}
	if n.Dir != nil {
		return n, ErrIsDir
	}
	if fs.ReadOnly && (flags&accessMode != readOnly || flags&openTrunc != 0) {
		return n, ErrReadOnly
	}
	if flags&openTrunc != 0 {
		return n, fs.truncate(ino, 0)
	}
	return n, nil
}

func (fs *FS) newHandle(fh uint64, ino Ino, flags uint32) *handle {
	h := &handle{ino: ino, write: flags&accessMode != readOnly, noAtime: flags&openNoAtime != 0}
	h.window.most = min(windowMost, fs.CacheSize/8)
	h.direct = h.write && flags&openDirect != 0
	h.synced = h.write && flags&openSynced != 0 && !fs.SyncLocal
	h.node = fs.acquire(ino)
	h.reported = h.node.failures()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h.node.handles++
	if h.node.handles > 1 {
		h.node.several.Store(true)
	}
	if h.write {
		h.node.writers++
	}
	h.node.forgotten = false
	fs.handles[fh] = h
	return h
}

// handle returns an open handle. Errors: ErrBadHandle.
func (fs *FS) handle(fh uint64) (*handle, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h, ok := fs.handles[fh]
	if !ok {
		return nil, ErrBadHandle
	}
	return h, nil
}

// dropHandle ends a handle and returns it, nil if there was none.
func (fs *FS) dropHandle(fh uint64) *handle {
	h, err := fs.handle(fh)
	if err != nil {
		return nil
	}
	forgotten := fs.endHandle(fh, h)
	for _, t := range h.window.end() {
		h.node.transfers.leave(t)
	}
	fs.release(h.node)
	if forgotten {
		fs.Forget(h.ino, 0)
	}
	return h
}

// endHandle takes a handle from its node and ends what ends with the last one. It reports
// whether the kernel has forgotten the inode.
func (fs *FS) endHandle(fh uint64, h *handle) (forgotten bool) {
	nd := h.node
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if err := fs.absorb(nd); err != nil && !errors.Is(err, ErrNotExist) {
		fs.Log.Warn("a content file was not looked at", "inode", uint64(nd.ino), "error", err)
	}
	fs.mu.Lock()
	delete(fs.handles, fh)
	nd.handles--
	fs.endPastLocked(h)
	if h.write {
		nd.writers--
	}
	last := nd.handles == 0
	if last {
		nd.several.Store(false)
		nd.over = nil
	}
	forgotten = last && nd.forgotten
	fs.mu.Unlock()
	if last {
		fs.endPhase(nd)
		if n, err := fs.Index.Inode(nd.ino); err == nil && n.Nlink == 0 {
			fs.wb.Ended(nd.ino)
		}
	}
	return forgotten
}

// isOpen reports whether an inode has handles.
func (fs *FS) isOpen(ino Ino) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, ok := fs.nodes[ino]
	return ok && n.handles > 0
}

// isWritten reports whether an inode has handles that may write.
func (fs *FS) isWritten(ino Ino) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, ok := fs.nodes[ino]
	return ok && n.writers > 0
}

// Flush is called at every close(2) of a file that may be written to. A failure of an upload in the background is
// reported here once. With CloseBucket it waits until the file is in the bucket.
func (fs *FS) Flush(ctx context.Context, fh uint64) error {
	h, err := fs.handle(fh)
	if err != nil {
		return err
	}
	if err := fs.catchUp(h.ino); err != nil {
		return err
	}
	if err := h.node.failure(h); err != nil {
		return fs.ioError(ctx, err)
	}
	dirty, err := fs.Index.IsDirty(h.ino)
	if err != nil || !dirty {
		return err
	}
	h.node.differsSince.Store(0)
	fs.wb.Dirty(h.ino, settleFile)
	if fs.CloseBucket && h.write {
		return fs.ioError(ctx, fs.wb.Sync(ctx, h.ino))
	}
	return nil
}

// Fsync waits until the file is in the bucket, with its name and what the name depends
// on; with SyncLocal until it is on the local disk, and with dataOnly perhaps with older times.
func (fs *FS) Fsync(ctx context.Context, fh uint64, dataOnly bool) error {
	h, err := fs.handle(fh)
	if err != nil {
		return err
	}
	if err := fs.catchUpAll(h); err != nil {
		return err
	}
	if err := h.node.failure(h); err != nil {
		return fs.ioError(ctx, err)
	}
	if fs.SyncLocal {
		return fs.syncLocal(h.node, dataOnly)
	}
	return fs.ioError(ctx, fs.wb.Sync(ctx, h.ino))
}

// syncLocal makes a file's content, and what the index knows of it, durable. Nothing is
// promised of either before both are: they are written at the same time.
func (fs *FS) syncLocal(n *node, dataOnly bool) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	c, err := fs.Index.Content(n.ino)
	if err != nil {
		return err
	}
	if c.File == 0 {
		return fs.Index.Sync()
	}
	f, done, err := n.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	if dataOnly && fs.Index.DataLasts() {
		return f.Sync()
	}
	return both(f.Sync, fs.Index.Sync)
}

// Release ends a handle. An unlinked inode goes when the kernel forgets it, which it asks
// for after the last release; the two may arrive in any order.
func (fs *FS) Release(fh uint64) {
	h := fs.dropHandle(fh)
	if h == nil {
		return
	}
	if dirty, err := fs.Index.IsDirty(h.ino); err == nil && dirty {
		fs.wb.Dirty(h.ino, settleFile)
	}
}

// dropContent takes the content from an inode's record, and returns the content file
// that is not needed any more. What the bucket has of an inode with a name stays readable.
func dropContent(tx *index.Tx, n index.Inode) (uint64, error) {
	c, err := tx.Content(n.Ino)
	if err != nil {
		return 0, err
	}
	kept := index.Content{}
	if n.Nlink > 0 {
		kept.BaseLen, kept.Holes = c.BaseLen, c.Holes
		kept.Same, kept.SameGen = c.Same, c.SameGen
	}
	return c.File, tx.PutContent(n.Ino, kept)
}
