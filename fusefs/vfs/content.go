package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

const (
	// wholeMost is the size of an object, in bytes, up to which it is fetched whole.
	wholeMost = 4 << 20
	// fetchesAtOnce bounds the requests of one file that must become whole.
	fetchesAtOnce = 4
	// fetchTries bounds how often a read goes on after what it fetched was gone again.
	fetchTries = 8
)

// Splice takes n bytes of a file from off, as they are when they are used, instead of a
// copy of them. It is false if it has not.
type Splice func(fd uintptr, off int64, n int) bool

// Read reads from an open file. At the end it returns fewer bytes than asked for.
func (fs *FS) Read(ctx context.Context, fh uint64, off int64, buf []byte) (int, error) {
	return fs.ReadOr(ctx, fh, off, buf, nil)
}

// ReadOr is Read, but that the bytes are not in buf if splice has taken them; it may be nil.
func (fs *FS) ReadOr(ctx context.Context, fh uint64, off int64, buf []byte, splice Splice) (int, error) {
	h, err := fs.handle(fh)
	if err != nil {
		return 0, err
	}
	if err := fs.catchUp(h.ino); err != nil {
		return 0, err
	}
	n, err := fs.read(ctx, h, off, buf, splice)
	if errors.Is(err, ErrNoSpace) {
		if err = fs.makeRoom(ctx, h.node, fetchRoom); err == nil {
			n, err = fs.read(ctx, h, off, buf, splice)
		}
	}
	if err == nil && !h.noAtime {
		fs.accessed(h.ino)
	}
	return n, err
}

// fetchRoom is what a reader needs of a full disk, in bytes, to fetch something.
const fetchRoom = 1 << 20

// read reads what is on this host, and fetches what is not.
func (fs *FS) read(ctx context.Context, h *handle, off int64, buf []byte, splice Splice) (int, error) {
	nd := h.node
	for _, t := range h.window.saw(off, int64(len(buf))) {
		nd.transfers.leave(t)
	}
	at := int64(-1) // where bytes were missing the last time
	for try := 0; try < fetchTries; try++ {
		got, missing, err := fs.readLocal(nd, off, buf, splice)
		if err != nil {
			return 0, err
		}
		first := at < 0 && try == 0
		switch {
		case len(missing) == 0:
			if first {
				fs.hits.Add(1)
				if off == 0 {
					fs.readFirst(h.ino, false)
				}
				err = fs.fetchAhead(h)
			}
			return got, err
		case first:
			fs.misses.Add(1)
			defer fs.hold(nd)()
		case missing[0].Off > at:
			try = 0 // some have come: it goes on
		}
		at = missing[0].Off
		if got, ok, err := fs.fetch(ctx, h, missing, first, off, buf); ok || err != nil {
			return got, err
		}
	}
	return 0, fmt.Errorf("%w: what was fetched is gone each time", ErrStale)
}

// fetch brings absent bytes to this host: at least the first, and what is likely to be
// wanted with them. Those who want the same wait for the one request. If all that a read
// lacks is in memory then, the read is done.
func (fs *FS) fetch(ctx context.Context, h *handle, missing []extent.Range, ahead bool, off int64, buf []byte) (got int, done bool, err error) {
	nd, want := h.node, missing[0]
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return 0, false, err
	}
	var t *transfer
	if more, scattered := h.window.demand(want, c.BaseLen); scattered {
		t = fs.transferScattered(ctx, nd, n.Gen, c, want, more)
	} else {
		t = fs.transfer(nd, n.Gen, want, more)
	}
	defer nd.transfers.leave(t)
	if ahead && want.Off == 0 && c.BaseLen <= walkFile {
		fs.readFirst(h.ino, true)
	} else if ahead {
		if err := fs.fetchAhead(h); err != nil {
			return 0, false, err
		}
	}
	memory := missing[len(missing)-1].End <= t.End
	if err := nd.transfers.wait(ctx, t, want.End, memory); err != nil || !memory {
		return 0, false, err
	}
	if got, done, err = fs.readGathered(nd, t, off, buf); !done && err == nil {
		err = nd.transfers.wait(ctx, t, want.End, false)
	}
	return got, done, err
}

// fetchAhead begins to fetch what a sequential reader will want next.
func (fs *FS) fetchAhead(h *handle) error {
	parts := h.window.ahead()
	if len(parts) == 0 {
		return nil
	}
	nd := h.node
	n, c, err := fs.content(nd.ino)
	if err != nil || c.BaseLen <= wholeMost {
		return err
	}
	for _, part := range parts {
		for _, m := range c.Absent(part.Off, part.Len()) {
			t := fs.transferAhead(nd, n.Gen, m)
			if t == nil {
				h.window.refused(m.Off)
				return nil
			}
			h.window.holds(t)
		}
	}
	return nil
}

// readLocal reads from the content file, unless bytes are missing: then it says which.
func (fs *FS) readLocal(nd *node, off int64, buf []byte, splice Splice) (int, []extent.Range, error) {
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return 0, nil, err
	}
	buf = buf[:max(0, min(int64(len(buf)), n.Size-off))]
	if len(buf) == 0 {
		return 0, nil, nil
	}
	if missing := c.Absent(off, int64(len(buf))); len(missing) > 0 {
		return 0, missing, nil
	}
	fs.ledger.Touch(uint64(nd.ino))
	if err := fs.copyOut(nd, c, off, buf, splice); err != nil {
		return 0, nil, err
	}
	return len(buf), nil, nil
}

// content returns what the index has of a regular file.
func (fs *FS) content(ino Ino) (index.Inode, index.Content, error) {
	n, err := fs.Index.Inode(ino)
	if err != nil {
		return n, index.Content{}, notExist(err)
	}
	c, err := fs.Index.Content(ino)
	return n, c, err
}

// copyOut reads a range of which nothing is absent. What is not resident is zeros. A place
// in a shared file may be another's before its pages are used: those are copied.
func (fs *FS) copyOut(nd *node, c index.Content, off int64, buf []byte, splice Splice) error {
	if c.File == 0 {
		clear(buf)
		return nil
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return fmt.Errorf("content of inode %d: %w", nd.ino, err)
	}
	defer done()
	if splice != nil && !cache.IsSmall(c.File) && c.Resident.Covers(off, int64(len(buf))) && splice(f.Fd(), off, len(buf)) {
		return nil
	}
	return readResident(f, c.Resident, off, buf)
}

// readResident reads resident bytes from a content file and sets the others to zero.
func readResident(f io.ReaderAt, resident extent.Set, off int64, buf []byte) error {
	end := off + int64(len(buf))
	for _, hole := range resident.Missing(off, int64(len(buf))) {
		if err := readFull(f, buf[:hole.Off-off], off); err != nil {
			return err
		}
		clear(buf[hole.Off-off : hole.End-off])
		buf, off = buf[hole.End-off:], hole.End
	}
	return readFull(f, buf[:end-off], off)
}

// readFull reads resident bytes; a file that ends before them is damaged.
func readFull(f io.ReaderAt, buf []byte, off int64) error {
	if len(buf) == 0 {
		return nil
	}
	n, err := f.ReadAt(buf, off)
	if n == len(buf) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("content file at %d: %w", off+int64(n), err)
}

// isChangedThere reports whether a read failed because the object is not what the index
// said.
func isChangedThere(err error) bool {
	return errors.Is(err, objstore.ErrPreconditionFailed) || errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrInvalidRange)
}

// changedThere handles an object that is not what the index said. It may have been a
// write of ours that gave it another ETag or key: the bytes are the same then. A file of
// which nothing was read yet is simply another one now.
func (fs *FS) changedThere(ctx context.Context, n index.Inode, c index.Content, cause error) error {
	if err := fs.wb.Refresh(ctx, n.Ino); err != nil {
		return fs.ioError(ctx, err)
	}
	now, err := fs.Index.Inode(n.Ino)
	if err != nil {
		return notExist(err)
	}
	unsettled, err := writeback.Unsettled(fs.Index, now)
	switch {
	case err != nil:
		return err
	case unsettled:
		return fs.sleep(ctx, ownWrite)
	case now.Placed != "" && now.PlacedGen == n.PlacedGen, c.Resident.Size() == 0 && isClean(n):
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStale, cause)
}

// ownWrite is how long a reader waits for a write of ours to the object that it reads.
const ownWrite = 200 * time.Millisecond

func (fs *FS) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ErrInterrupted
	}
}

// readObject reads a range of an inode's object into memory.
func (fs *FS) readObject(ctx context.Context, n index.Inode, off, length int64) ([]byte, error) {
	body, err := fs.openObject(ctx, n, off, length)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // read only
	buf := make([]byte, length)
	if _, err := io.ReadFull(body, buf); err != nil {
		return nil, fs.ioError(ctx, fmt.Errorf("object %q at %d: %w", n.Placed, off, err))
	}
	return buf, nil
}

// contentFile makes an inode's content file if it has none that can hold everything below
// end. The caller holds nd.mu.
func (fs *FS) contentFile(nd *node, c index.Content, end int64) (index.Content, error) {
	file := c.File
	c, err := fs.localFile(nd, c, end)
	if err != nil || c.File == file {
		return c, err
	}
	return fs.recordFile(nd, c)
}

// fetchAll fetches absent ranges, a few parts at once.
func (fs *FS) fetchAll(ctx context.Context, nd *node, ranges []extent.Range) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchesAtOnce)
	for _, r := range ranges {
		for off := r.Off; off < r.End && ctx.Err() == nil; off += partMost {
			g.Go(func() error { return fs.fetchRange(ctx, nd, extent.Range{Off: off, End: min(off+partMost, r.End)}) })
		}
	}
	return g.Wait()
}

// fetchRange fetches at least the beginning of an absent range.
func (fs *FS) fetchRange(ctx context.Context, nd *node, r extent.Range) error {
	n, err := fs.Index.Inode(nd.ino)
	if err != nil {
		return notExist(err)
	}
	t := fs.transfer(nd, n.Gen, r, r)
	defer nd.transfers.leave(t)
	return nd.transfers.wait(ctx, t, r.End, false)
}

// noSpace names a full local disk in the filesystem's words, and one that cannot hold so
// large a file.
func noSpace(err error) error {
	switch {
	case errors.Is(err, cache.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%w: %w", ErrTooBig, err)
	}
	return err
}
