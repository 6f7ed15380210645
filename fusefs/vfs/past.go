package vfs

import (
	"context"
	"errors"
	"io"
	"slices"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// What is written in the usual way is copied twice: into the kernel's pages of this mount, and
// from there into the content file, which has pages of its own. Of a file that becomes large
// the former are of no use, because it is passed when it is opened next. So who only writes to
// a new file that is likely to become large (makers) writes past them: a write comes to us as
// any other, from the memory of its program, for half of the processors' time.
//
// The kernel drops the pages in a write's range before it sends the write. Where others have
// the file open they may have read them anew by the time when it is done: they are dropped
// again before it is answered. So each read, and each look at a mapping, that begins after a
// write(2) has returned sees what that has written. A page that is dropped then may have been
// stored into through a mapping, and comes to us first: of it the bytes that the write has
// written stay as they are. (Linux 6.18 drops them once more by itself, but after the answer.)
// A kernel that does not wait for what was stored writes no file so (AllowPast).

const writeOnly = 0o1 // of open(2)'s flags

// AllowPast lets files be written past the kernel's pages from now on: PagesChanged returns
// when what was stored into the pages has come.
func (fs *FS) AllowPast() { fs.mayPast.Store(true) }

// goesPast reports whether a handle is to write past the kernel's pages. The inode is as it
// was before it was opened. A handle that may read is not: its reads, and its mappings, would
// do without pages too. The caller holds h.node.mu.
func (fs *FS) goesPast(h *handle, n index.Inode, flags uint32) bool {
	if flags&accessMode != writeOnly || flags&(openSynced|openDirect) != 0 || !isRegular(n) || !fs.canPass() || !fs.mayPast.Load() {
		return false
	}
	if flags&openTrunc != 0 && n.Size >= fs.PassthroughMin {
		return true
	}
	return h.node.created && fs.makers.mayBeLarge(h.node.maker)
}

// beforePast does what the kernel does before a write that does not go past its pages: file
// capabilities end with any write, by whomever.
func (fs *FS) beforePast(ctx context.Context, h *handle) error {
	n, err := fs.Index.Inode(h.ino)
	if err != nil {
		return notExist(err)
	}
	if _, capable := n.Xattrs[xattrCapability]; !capable {
		return nil
	}
	if err := fs.RemoveXattr(ctx, h.ino, xattrCapability); !errors.Is(err, ErrNoXattr) {
		return err
	}
	return nil
}

// outrun has the kernel keep its own idea of an inode's size, whatever it is about to be told,
// while somebody writes past its pages: our answer can be ahead of what it knows of a write. It
// would take that for somebody else's change and clear its pages from there on, perhaps only
// after the next write.
func (fs *FS) outrun(ino Ino) {
	if fs.pasts.Load() == 0 {
		return
	}
	fs.mu.Lock()
	nd := fs.nodes[ino]
	past := nd != nil && nd.pasts > 0
	fs.mu.Unlock()
	if past {
		fs.notices.pages(ino, -1, 0)
	}
}

// startPast and endPast tell of a handle that writes past the kernel's pages.
func (fs *FS) startPast(h *handle) {
	h.past = true
	fs.pasts.Add(1)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h.node.pasts++
}

func (fs *FS) endPastLocked(h *handle) {
	if h.past {
		fs.pasts.Add(-1)
		h.node.pasts--
	}
}

// afterPast has the kernel drop what others may have read of n bytes from off while they were
// written. The caller holds no lock.
func (fs *FS) afterPast(nd *node, off, n int64) {
	if nd.several.Load() {
		fs.notices.pages(nd.ino, off, n)
	}
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if i := slices.Index(nd.over, extent.Range{Off: off, End: off + n}); i >= 0 {
		nd.over = slices.Delete(nd.over, i, i+1)
	}
}

// beginPast tells of so many bytes from off that were written past the kernel's pages, until
// afterPast. The caller holds mu.
func (n *node) beginPast(off, length int64) {
	n.over = append(n.over, extent.Range{Off: off, End: off + length})
}

// keepPast puts what such writes have written into pages that are older, as far as it was not
// cut off since: the file has size bytes, or was cut and is longer again. The caller holds mu.
func (n *node) keepPast(f io.ReaderAt, size, off int64, page []byte) error {
	for _, r := range n.over {
		from, to := max(r.Off, off), min(r.End, off+int64(len(page)), size)
		if from >= to {
			continue
		}
		if _, err := f.ReadAt(page[from-off:to-off], from); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}
