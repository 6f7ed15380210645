package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

const (
	// fetchWindow is what a sequential reader's request fetches at once, in bytes, and
	// the size below which an object is fetched whole.
	fetchWindow = 4 << 20
	// windowsAhead is how many windows are fetched ahead of a sequential reader.
	windowsAhead = 4
	// fetchRandom is the grain of what others fetch, in bytes.
	fetchRandom = 128 << 10
	// fetchesAtOnce bounds the requests of one file that must become whole.
	fetchesAtOnce = 4
	// fetchTime bounds one request for content.
	fetchTime = time.Minute
	// fetchTries bounds how often a read goes on after what it fetched was gone again.
	fetchTries = 8
)

// Read reads from an open file. At the end it returns fewer bytes than asked for.
func (fs *FS) Read(ctx context.Context, fh uint64, off int64, buf []byte) (int, error) {
	h, err := fs.handle(fh)
	if err != nil {
		return 0, err
	}
	n, err := fs.read(ctx, h.node, off, buf)
	if err == nil && !h.noAtime {
		fs.accessed(h.ino)
	}
	return n, err
}

// read reads what is on this host, and fetches what is not.
func (fs *FS) read(ctx context.Context, nd *node, off int64, buf []byte) (int, error) {
	sequential := off == 0 || near(nd.next.Swap(off+int64(len(buf))), off)
	if sequential && off > 0 {
		if err := fs.fetchAhead(nd, off); err != nil {
			return 0, err
		}
	}
	for try := range fetchTries {
		got, missing, err := fs.readLocal(nd, off, buf)
		if err != nil {
			return 0, err
		}
		if len(missing) == 0 {
			if try == 0 {
				fs.hits.Add(1)
			}
			return got, nil
		}
		if try == 0 {
			fs.misses.Add(1)
		}
		if err := fs.fetch(ctx, nd, missing[0], sequential); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: what was fetched is gone each time", ErrStale)
}

// near reports whether a read goes on about where the one before it ended: the kernel
// reads ahead with several requests at once, which arrive in any order.
func near(end, off int64) bool { return off-end <= fetchWindow && end-off <= fetchWindow }

// fetchAhead begins to fetch what a sequential reader will want next.
func (fs *FS) fetchAhead(nd *node, off int64) error {
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return err
	}
	next := (off/fetchWindow + 1) * fetchWindow
	for _, m := range c.Absent(next, windowsAhead*fetchWindow) {
		for at := m.Off / fetchWindow * fetchWindow; at < m.End; at += fetchWindow {
			fs.startFetch(nd, n.Gen, extent.Range{Off: at, End: min(c.BaseLen, at+fetchWindow)})
		}
	}
	return nil
}

// readLocal reads from the content file, unless bytes are missing: then it says which.
func (fs *FS) readLocal(nd *node, off int64, buf []byte) (int, []extent.Range, error) {
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
	if err := fs.copyOut(nd, c, off, buf); err != nil {
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

// copyOut reads a range of which nothing is absent. What is not resident is zeros.
func (fs *FS) copyOut(nd *node, c index.Content, off int64, buf []byte) error {
	if c.File == 0 {
		clear(buf)
		return nil
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return fmt.Errorf("content of inode %d: %w", nd.ino, err)
	}
	defer done()
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

// fetch brings absent bytes to this host: at least the first of a range, and what is
// likely to be wanted with them. Those who want the same wait for the one request.
func (fs *FS) fetch(ctx context.Context, nd *node, want extent.Range, sequential bool) error {
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return err
	}
	select {
	case res := <-fs.startFetch(nd, n.Gen, fetchRange(want, c.BaseLen, sequential)):
		return res.Err
	case <-ctx.Done():
		return ErrInterrupted
	}
}

// startFetch begins to fetch a range of one generation, or joins who does so already. It
// outlives a reader that is interrupted: others may wait for it.
func (fs *FS) startFetch(nd *node, gen uint64, r extent.Range) <-chan singleflight.Result {
	key := strconv.FormatInt(r.Off, 16) + "-" + strconv.FormatInt(r.End, 16) + "-" + strconv.FormatUint(gen, 16)
	return nd.fetches.DoChan(key, func() (any, error) {
		if !fs.begin() {
			return nil, ErrInterrupted
		}
		defer fs.tasks.Done()
		ctx, cancel := context.WithTimeout(fs.ctx, fetchTime)
		defer cancel()
		open := fs.acquire(nd.ino) // the reader's own use may end before
		defer fs.release(open)
		return nil, fs.fetchNow(ctx, open, r)
	})
}

// fetchRange grows a wanted range to what one request fetches.
func fetchRange(want extent.Range, end int64, sequential bool) extent.Range {
	grain := int64(fetchRandom)
	if sequential || end <= fetchWindow {
		grain = fetchWindow
	}
	off := want.Off / grain * grain
	return extent.Range{Off: off, End: min(end, off+grain)}
}

// fetchNow reads a range of an inode's object into its content file, except where bytes
// became resident meanwhile.
func (fs *FS) fetchNow(ctx context.Context, nd *node, r extent.Range) error {
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return err
	}
	if len(c.Absent(r.Off, r.Len())) == 0 {
		return nil
	}
	bytes, err := fs.readObject(ctx, n, r.Off, r.Len())
	if isChangedThere(err) {
		return fs.changedThere(ctx, n, c, err)
	}
	if err != nil {
		return err
	}
	fs.wb.Heard() // who waits for an upload may wait for this
	return fs.keep(nd, n.Gen, r.Off, bytes)
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

// readObject reads a range of an inode's object, as the index knows it.
func (fs *FS) readObject(ctx context.Context, n index.Inode, off, length int64) ([]byte, error) {
	k, ok, err := fs.Index.Key(n.Placed)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("inode %d has no object: %w", n.Ino, ErrStale)
	}
	body, _, err := fs.Bucket.Get(ctx, n.Placed, objstore.GetOptions{Offset: off, Length: length, IfMatch: k.ETag})
	if err != nil {
		return nil, fs.ioError(ctx, err)
	}
	defer func() { _ = body.Close() }() // read only
	buf := make([]byte, length)
	if _, err := io.ReadFull(body, buf); err != nil {
		return nil, fs.ioError(ctx, fmt.Errorf("object %q at %d: %w", n.Placed, off, err))
	}
	return buf, nil
}

// keep writes fetched bytes into the content file where they are still absent, and
// records them as resident: in this order, so that a crash between the two fetches them
// again.
func (fs *FS) keep(nd *node, gen uint64, off int64, bytes []byte) error {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return err
	}
	missing := c.Absent(off, int64(len(bytes)))
	// A newer generation of ours keeps its old bytes; another writer's has others.
	if len(missing) == 0 || n.PlacedGen > gen {
		return nil
	}
	if c, err = fs.contentFile(nd, c); err != nil {
		return err
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	for _, m := range missing {
		if _, err := f.WriteAt(bytes[m.Off-off:m.End-off], m.Off); err != nil {
			return noSpace(err)
		}
		c.Resident.Add(m.Off, m.Len())
	}
	err = fs.Index.Update(func(tx *index.Tx) error {
		now, err := tx.Content(nd.ino)
		if err != nil || now.File != c.File {
			return err // evicted or replaced: what was written is not used
		}
		now.Resident = c.Resident
		return tx.PutContent(nd.ino, now)
	})
	if err != nil {
		return err
	}
	fs.account(n, c)
	return nil
}

// contentFile makes an inode's content file if it has none. The caller holds nd.mu.
func (fs *FS) contentFile(nd *node, c index.Content) (index.Content, error) {
	if c.File != 0 {
		return c, nil
	}
	// Never the number of an earlier file, whose bytes may still be there after a crash.
	gen := uint64(time.Now().UnixNano())
	if err := nd.create(fs.Cache, gen); err != nil {
		return c, noSpace(err)
	}
	err := fs.Index.Update(func(tx *index.Tx) error {
		now, err := tx.Content(nd.ino)
		if err != nil {
			return err
		}
		now.File = gen
		now.Resident = extent.Set{}
		c = now
		return tx.PutContent(nd.ino, now)
	})
	return c, err
}

// complete fetches all that is absent of a file.
func (fs *FS) complete(ctx context.Context, nd *node) error {
	for range fetchTries {
		n, c, err := fs.content(nd.ino)
		if err != nil {
			return err
		}
		missing := c.Absent(0, n.Size)
		if len(missing) == 0 {
			return nil
		}
		if err := fs.fetchAll(ctx, nd, missing); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: what was fetched is gone each time", ErrStale)
}

// fetchAll fetches absent ranges, a few windows at once.
func (fs *FS) fetchAll(ctx context.Context, nd *node, ranges []extent.Range) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchesAtOnce)
	for _, r := range ranges {
		for off := r.Off; off < r.End && ctx.Err() == nil; off += fetchWindow {
			g.Go(func() error {
				return fs.fetch(ctx, nd, extent.Range{Off: off, End: min(off+fetchWindow, r.End)}, true)
			})
		}
	}
	return g.Wait()
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
