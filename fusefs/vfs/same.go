package vfs

import (
	"bytes"
	"errors"
	"io"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// What the kernel has written to a file is not known by ranges. The sums of its object tell
// when it is sent: what has the same ones is copied inside the store.

const (
	// sumLeast is the smallest file, in bytes, of which sums are made: others are sent at
	// once.
	sumLeast = 16 << 20
	// sumAtOpen is the largest file, in bytes, whose open for writing may wait for them. The
	// sums of others are known from their first upload on.
	sumAtOpen = 256 << 20
)

// sumsOf makes the sums of a content.
func sumsOf(f io.ReaderAt, n index.Inode, gen uint64) (index.Sums, error) {
	all, err := cache.Sums(f, n.Size)
	s := index.Sums{Gen: gen, Size: n.Size}
	for _, sum := range all {
		s.Sums = append(s.Sums, sum[:]...)
	}
	return s, err
}

// sumBase records the sums of what is about to be written to behind our back, where it is
// what the object has and they are not known. The caller holds nd.mu.
func (fs *FS) sumBase(nd *node, p *passed) error {
	n, c, err := fs.content(nd.ino)
	if err != nil || n.Size < sumLeast || n.Size > sumAtOpen || !isClean(n) || len(c.Changed(n.PlacedGen, 0, n.Size)) > 0 {
		return err
	}
	if s, err := fs.Index.Sums(nd.ino); err == nil && s.Gen == n.PlacedGen {
		return nil
	}
	var s index.Sums
	err = fs.withPassed(nd, p, func(f *cache.File) (err error) {
		s, err = sumsOf(f, n, n.PlacedGen)
		return err
	})
	if err != nil {
		return err
	}
	return fs.Index.Update(func(tx *index.Tx) error { return tx.PutSums(nd.ino, s) })
}

// findSame returns, of a content that is about to be sent, what is known to be in the object
// by the sums of both. Those that were made are the object's when it lands. What changes
// from here on is noticed by the upload, but for a private copy, which may have it. The
// caller holds nd.mu alone and has called observe.
func (fs *FS) findSame(nd *node, n index.Inode, c index.Content, f io.ReaderAt, private bool) (index.Content, error) {
	p := fs.passedOf(nd.ino)
	if p == nil {
		return c, nil
	}
	p.sums = index.Sums{}
	if p.file != c.File || p.direct || n.Size < sumLeast || n.Gen == n.PlacedGen || !c.Resident.Covers(0, n.Size) {
		return c, nil
	}
	if n.Placed == "" && !p.open {
		return c, nil // there is no object yet, and nobody writes at this moment
	}
	now, err := sumsOf(f, n, n.Gen)
	if err != nil {
		return c, err
	}
	if !private {
		p.sums = now
	}
	base, err := fs.Index.Sums(nd.ino)
	if errors.Is(err, index.ErrNotFound) || err == nil && base.Gen != n.PlacedGen {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if c.SameGen != n.PlacedGen {
		c.Same, c.SameGen = extent.Set{}, n.PlacedGen
	}
	addSame(&c.Same, base, now)
	return c, nil
}

// withSame is findSame with the content file, if there is one.
func (fs *FS) withSame(nd *node, n index.Inode, c index.Content, private bool) (index.Content, error) {
	if fs.passedOf(nd.ino) == nil || c.File == 0 || cache.IsSmall(c.File) {
		return c, nil
	}
	f, done, err := fs.openToSend(nd, n, c)
	if err != nil {
		return c, err
	}
	defer done()
	return fs.findSame(nd, n, c, f, private)
}

// countChanged counts, of a content that is about to be sent, what the kernel has changed.
// The caller holds node.mu alone.
func (fs *FS) countChanged(n index.Inode, c index.Content) {
	p := fs.passedOf(n.Ino)
	if p == nil || !p.taken {
		return
	}
	p.taken = false
	for _, r := range c.Changed(n.PlacedGen, 0, n.Size) {
		fs.opens.changedBytes.Add(r.Len())
	}
}

// addSame adds what has the same sums in two contents.
func addSame(same *extent.Set, a, b index.Sums) {
	const size = len(cache.Sum{})
	for i := 0; (i+1)*size <= min(len(a.Sums), len(b.Sums)); i++ {
		off := int64(i) * cache.SumGrain
		end := min(off+cache.SumGrain, a.Size)
		if end == min(off+cache.SumGrain, b.Size) && bytes.Equal(a.Sums[i*size:(i+1)*size], b.Sums[i*size:(i+1)*size]) {
			same.Add(off, end-off)
		}
	}
}

// keepSums records the sums of what has landed.
func (fs *FS) keepSums(ino Ino) error {
	p := fs.passedOf(ino)
	if p == nil {
		return nil
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n, err := fs.Index.Inode(ino)
	if err != nil || p.sums.Gen == 0 || p.sums.Gen != n.PlacedGen {
		return notThere(notExist(err))
	}
	err = fs.Index.Update(func(tx *index.Tx) error { return tx.PutSums(ino, p.sums) })
	p.sums = index.Sums{}
	return err
}
