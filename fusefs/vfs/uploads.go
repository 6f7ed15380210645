package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// uploads is what the write-back sees of a filesystem.
type uploads struct{ fs *FS }

var _ writeback.Files = uploads{}

// Open implements writeback.Files.
func (u uploads) Open(ctx context.Context, ino Ino, private bool, need writeback.Need) (writeback.Content, error) {
	if n, err := u.fs.Index.Inode(ino); err != nil {
		return nil, err
	} else if n.Nlink == 0 && !u.fs.isOpen(ino) {
		// Nobody can read it any more: it need not be fetched before its object goes.
		return nil, errors.Join(index.ErrNotFound, u.fs.bury(ino))
	}
	nd := u.fs.acquire(ino)
	up, err := u.fs.upload(ctx, nd, private, need)
	if err != nil {
		u.fs.release(nd)
		return nil, err
	}
	return up, nil
}

// upload is a file's content at the moment when its sending began.
type upload struct {
	fs      *FS
	node    *node
	gen     uint64
	size    int64
	content index.Content
	needed  extent.Set  // what can be read
	file    io.ReaderAt // nil: nothing is resident
	shared  *cache.File // the content file itself; nil where nobody else writes to what is sent
	close   func() error
	private bool
}

// upload brings what is needed of a file's content to this host, and fixes the generation
// that is sent.
func (fs *FS) upload(ctx context.Context, nd *node, private bool, need writeback.Need) (*upload, error) {
	defer fs.hold(nd)()
	for range fetchTries {
		n, c, err := fs.content(nd.ino)
		if err != nil {
			return nil, err
		}
		if absent := absentOf(c, need(n, c)); len(absent) > 0 {
			if err := fs.fetchAll(ctx, nd, absent); err != nil {
				return nil, err
			}
		}
		up, err := fs.fix(nd, private, need)
		if up != nil || err != nil {
			return up, err
		}
	}
	return nil, fmt.Errorf("%w: content of inode %d is gone each time", ErrStale, nd.ino)
}

// absentOf returns what of ranges only the object has.
func absentOf(c index.Content, ranges []extent.Range) []extent.Range {
	var absent []extent.Range
	for _, r := range ranges {
		absent = append(absent, c.Absent(r.Off, r.Len())...)
	}
	return absent
}

// fix opens the content for sending, unless something that is needed is not here.
func (fs *FS) fix(nd *node, private bool, need writeback.Need) (*upload, error) {
	if err := fs.flush(nd); err != nil {
		return nil, err
	}
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if err := fs.observe(nd); err != nil {
		return nil, err
	}
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return nil, err
	}
	if c, err = fs.withSame(nd, n, c, private); err != nil {
		return nil, err
	}
	fs.countChanged(n, c)
	ranges := need(n, c)
	if len(absentOf(c, ranges)) > 0 {
		return nil, nil
	}
	up := &upload{fs: fs, node: nd, gen: n.Gen, size: n.Size, content: c, private: private, close: func() error { return nil }}
	for _, r := range ranges {
		up.needed.Add(r.Off, r.Len())
	}
	if c.File != 0 {
		f, done, err := fs.openToSend(nd, n, c)
		if err != nil {
			return nil, err
		}
		if err := up.use(f, done); err != nil {
			return nil, err
		}
	}
	nd.sent = max(nd.sent, n.Gen)
	return up, nil
}

// openToSend opens a content file for sending it. One that could be passed is opened for
// reading alone: an upload is not to look like a writer.
func (fs *FS) openToSend(nd *node, n index.Inode, c index.Content) (f *cache.File, done func(), err error) {
	if cache.IsSmall(c.File) || !fs.isPassed(nd.ino) && (fs.PassthroughMin == 0 || n.Size < fs.PassthroughMin) {
		return nd.open(fs.Cache, c.File)
	}
	if f, err = fs.Cache.OpenRead(uint64(nd.ino), c.File); err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil // read only
}

// use reads from a content file, or from a private copy of it where there is space for one.
func (u *upload) use(f *cache.File, done func()) error {
	if u.private {
		copied, err := f.SnapshotOf(u.resident())
		if err == nil {
			done()
			u.file, u.close = copied, copied.Close
			return nil
		}
		if !errors.Is(err, cache.ErrNoSpace) {
			done()
			return err
		}
		u.private = false
	}
	u.file, u.shared = f, f
	u.close = func() error { done(); return nil }
	return nil
}

// resident returns what is needed and in the content file.
func (u *upload) resident() []extent.Range {
	var ranges []extent.Range
	for _, r := range u.needed.Ranges() {
		ranges = append(ranges, gaps(r, u.content.Resident.Missing(r.Off, r.Len()))...)
	}
	return ranges
}

// Size implements writeback.Content.
func (u *upload) Size() int64 { return u.size }

// Gen implements writeback.Content.
func (u *upload) Gen() uint64 { return u.gen }

// Changed implements writeback.Content.
func (u *upload) Changed() bool {
	n, err := u.fs.Index.Inode(u.node.ino)
	// Nobody wants what has no name any more, however long its sending would go on.
	return err != nil || n.Nlink == 0 || !u.private && (n.Gen != u.gen || u.fs.hasChanged(u.node, u.shared))
}

// errUnneeded is the error of reading what was not needed and may not be on this host.
var errUnneeded = errors.New("these bytes were not needed")

// ReadAt implements io.ReaderAt.
func (u *upload) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), u.size-off)))
	var err error
	switch {
	case n == 0:
	case !u.needed.Covers(off, int64(n)):
		return 0, errUnneeded
	case u.file == nil:
		clear(p[:n])
	default:
		if err = readResident(u.file, u.content.Resident, off, p[:n]); err != nil {
			return 0, err
		}
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// InFile implements objstore.Filed.
func (u *upload) InFile(off, n int64) (objstore.FileRange, bool) {
	f, ok := u.file.(*cache.File)
	if !ok || n > u.size-off || !u.needed.Covers(off, n) || !u.content.Resident.Covers(off, n) {
		return objstore.FileRange{}, false
	}
	return inFile(f, off, n)
}

func inFile(f *cache.File, off, n int64) (objstore.FileRange, bool) {
	use, ok := f.Use()
	return objstore.FileRange{Use: use, Offset: off, Length: n}, ok
}

// Close implements writeback.Content.
func (u *upload) Close() error {
	defer u.fs.release(u.node)
	return u.close()
}

// Part implements writeback.Files.
func (u uploads) Part(ino Ino, gen uint64, r extent.Range) (writeback.Part, error) {
	nd := u.fs.acquire(ino)
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	n, c, err := u.fs.content(ino)
	if err == nil && (n.Gen != gen || c.File == 0 || !c.Resident.Covers(r.Off, r.Len())) {
		err = ErrStale
	}
	var f *cache.File
	var done func()
	if err == nil {
		f, done, err = u.fs.openToSend(nd, n, c)
	}
	if err != nil {
		u.fs.release(nd)
		return nil, err
	}
	return &openPart{f, func() { done(); u.fs.release(nd) }}, nil
}

// openPart is a content file that is open for reading a part of it, which is all resident.
type openPart struct {
	*cache.File
	done func()
}

// InFile implements objstore.Filed.
func (p *openPart) InFile(off, n int64) (objstore.FileRange, bool) { return inFile(p.File, off, n) }

// Close implements writeback.Part.
func (p *openPart) Close() error {
	p.done()
	return nil
}

// Replaced implements writeback.Files.
func (u uploads) Replaced(ino Ino, file uint64) {
	u.fs.discarded(ino, file)
	u.fs.notices.inode(ino)
	// One that another client deleted and nobody has open is not asked for any more.
	if err := u.fs.bury(ino); err != nil && !errors.Is(err, ErrNotExist) {
		u.fs.Log.Warn("a deleted inode stays until the next start", "inode", uint64(ino), "error", err)
	}
}

// Passed implements writeback.Files.
func (u uploads) Passed(ino Ino) bool { return u.fs.isPassed(ino) }

// EntryChanged implements writeback.Files.
func (u uploads) EntryChanged(parent Ino, name string) { u.fs.notices.entry(parent, name) }

// Landed implements writeback.Files.
func (u uploads) Landed(ino Ino) {
	if n, c, err := u.fs.content(ino); err == nil && c.File != 0 {
		u.fs.account(n, c)
	}
	if err := errors.Join(u.fs.keepSums(ino), notThere(u.fs.look(ino))); err != nil {
		u.fs.Log.Warn("a content file was not looked at", "inode", uint64(ino), "error", err)
	}
	u.fs.sumBehind(ino)
}

// Failed implements writeback.Files.
func (u uploads) Failed(ino Ino, err error) {
	if nd := u.fs.peek(ino); nd != nil {
		nd.fail(err)
	}
}
