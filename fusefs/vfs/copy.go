package vfs

import (
	"context"
	"errors"
	"fmt"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// copyMost is how much one request copies, in bytes: writers wait meanwhile.
const copyMost = 64 << 20

// Copy is what CopyRange is asked for: N bytes of the open file From, from Off, to At in
// the open file To.
type Copy struct {
	From, To uint64
	Off, At  int64
	N        int64
}

// CopyRange copies between two open files, or two places of one that do not overlap, and
// returns how many bytes: at most what is there, and fewer than asked for where that
// would take long. The local disk copies, sharing blocks where it can; holes stay holes;
// what only the bucket has is fetched first.
func (fs *FS) CopyRange(ctx context.Context, c Copy) (int, error) {
	src, err := fs.handle(c.From)
	if err != nil {
		return 0, err
	}
	dst, err := fs.handle(c.To)
	if err != nil {
		return 0, err
	}
	n := min(c.N, copyMost)
	if n > sizeMax-c.At {
		return 0, ErrTooBig
	}
	if err := errors.Join(fs.catchUp(src.ino), fs.catchUp(dst.ino)); err != nil {
		return 0, err
	}
	defer fs.hold(src.node)()
	for range fetchTries {
		copied, absent, err := fs.copyLocal(src.node, c.Off, dst.node, c.At, n)
		if err != nil || len(absent) == 0 {
			fs.accessed(src.ino)
			return int(copied), err
		}
		if err := fs.fetchAll(ctx, src.node, absent); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: what was fetched is gone each time", ErrStale)
}

// copyLocal copies what is on this host, unless bytes are absent: then it says which.
func (fs *FS) copyLocal(src *node, off int64, dst *node, at, n int64) (int64, []extent.Range, error) {
	defer lockBoth(src, dst)()
	from, c, err := fs.content(src.ino)
	if err != nil {
		return 0, nil, err
	}
	if n = min(n, from.Size-off); n <= 0 {
		return 0, nil, nil
	}
	if absent := c.Absent(off, n); len(absent) > 0 {
		return 0, absent, nil
	}
	zeros := c.Resident.Missing(off, n)
	filled := gaps(extent.Range{Off: off, End: off + n}, zeros)
	if fs.isPassed(dst.ino) {
		return n, nil, fs.copyPassed(src, c, off, dst, at, n, filled, zeros)
	}
	if err := fs.copyFilled(src, c, dst, at, n, filled, at-off); err != nil {
		return 0, nil, err
	}
	_, err = fs.changeContent(dst, at+n, func(c *index.Content) {
		for _, r := range filled {
			c.Fill(r.Off+at-off, r.Len())
		}
	})
	for _, z := range zeros {
		err = errors.Join(err, fs.clear(dst, z.Off+at-off, z.Len()))
	}
	return n, nil, err
}

// copyPassed copies n bytes into a content file that the kernel was given: some are filled,
// the others zeros.
func (fs *FS) copyPassed(src *node, c index.Content, off int64, dst *node, at, n int64, filled, zeros []extent.Range) error {
	if err := fs.free(n); err != nil {
		return err
	}
	return fs.changePassed(dst, func(g *cache.File) error {
		st, err := g.Stat()
		if err == nil && st.Size < at+n {
			err = g.Truncate(at + n)
		}
		for _, z := range zeros {
			err = errors.Join(err, g.Punch(z.Off+at-off, z.Len()))
		}
		if err != nil || len(filled) == 0 {
			return err
		}
		f, done, err := src.open(fs.Cache, c.File)
		if err != nil {
			return err
		}
		defer done()
		for _, r := range filled {
			if err := f.CopyRange(g, r.Off, r.Off+at-off, r.Len()); err != nil {
				return err
			}
		}
		return nil
	})
}

// copyFilled copies ranges between content files, by so much further on, where n bytes from
// at change.
func (fs *FS) copyFilled(src *node, c index.Content, dst *node, at, n int64, ranges []extent.Range, by int64) error {
	into, to, err := fs.begun(dst, at, n)
	if err != nil {
		return err
	}
	if len(ranges) == 0 {
		return nil
	}
	var need int64
	for _, r := range ranges {
		need += missing(to, r.Off+by, r.Len())
	}
	if err := fs.free(need); err != nil {
		return err
	}
	end := max(into.Size, at+n)
	if !cache.IsSmall(c.File) {
		end = sizeMax // what was only reserved there may become a hole: see keepSmall
	}
	if to, err = fs.contentFile(dst, to, end); err != nil {
		return err
	}
	if src == dst {
		c = to // which may have moved
	}
	return withFiles(fs.Cache, src, c.File, dst, to.File, func(f, g *cache.File) error {
		for _, r := range ranges {
			if err := f.CopyRange(g, r.Off, r.Off+by, r.Len()); err != nil {
				return noSpace(err)
			}
		}
		return nil
	})
}

// withFiles opens two content files, which may be the same.
func withFiles(c *cache.Cache, src *node, from uint64, dst *node, to uint64, fn func(f, g *cache.File) error) error {
	f, done, err := src.open(c, from)
	if err != nil {
		return err
	}
	defer done()
	g, doneToo, err := dst.open(c, to)
	if err != nil {
		return err
	}
	defer doneToo()
	return fn(f, g)
}

// lockBoth locks what is copied from and to, always in the same order.
func lockBoth(src, dst *node) (unlock func()) {
	switch {
	case src == dst:
		dst.mu.Lock()
		return dst.mu.Unlock
	case src.ino < dst.ino:
		src.mu.RLock()
		dst.mu.Lock()
	default:
		dst.mu.Lock()
		src.mu.RLock()
	}
	return func() {
		dst.mu.Unlock()
		src.mu.RUnlock()
	}
}

// gaps returns what of a range lies between others, which are ascending and in it.
func gaps(r extent.Range, others []extent.Range) []extent.Range {
	var all extent.Set
	all.Add(r.Off, r.Len())
	for _, o := range others {
		all.Remove(o.Off, o.Len())
	}
	return all.Ranges()
}
