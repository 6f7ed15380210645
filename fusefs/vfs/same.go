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
	// sumAtOpen is the largest file, in bytes, whose open for writing may wait for them, should
	// they not have been made when it landed. The sums of others are known from the first upload
	// of what the kernel has written on.
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

// lacksSums reports whether a file is what its object has, but for the sums of that, which an
// open for writing would make.
func (fs *FS) lacksSums(n index.Inode, c index.Content) bool {
	if n.Size < sumLeast || n.Size > sumAtOpen || !isClean(n) || len(c.Changed(n.PlacedGen, 0, n.Size)) > 0 {
		return false
	}
	s, err := fs.Index.Sums(n.Ino)
	return err != nil || s.Gen != n.PlacedGen
}

// sumBehind makes the sums of what has just landed, so that no open for writing has to wait
// for them. Of many files that land at once some do without.
func (fs *FS) sumBehind(ino Ino) {
	n, c, err := fs.content(ino)
	if err != nil || !fs.canPass() || !c.Resident.Covers(0, n.Size) || !fs.lacksSums(n, c) {
		return
	}
	select {
	case fs.summing <- struct{}{}:
	default:
		return
	}
	if !fs.begin() {
		return // for good
	}
	go func() {
		defer fs.tasks.Done()
		if err := fs.sumLanded(n, c); err != nil {
			fs.Log.Debug("what has landed was not summed", "inode", uint64(ino), "error", err)
		}
		<-fs.summing
	}()
}

// sumLanded records the sums of a content that is whole on this host, unless it was changed,
// or could have been, by their end. It keeps nobody from writing meanwhile.
func (fs *FS) sumLanded(n index.Inode, c index.Content) error {
	f, err := fs.Cache.OpenRead(uint64(n.Ino), c.File)
	if err != nil {
		return err
	}
	s, err := sumsOf(f, n, n.PlacedGen)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	nd := fs.acquire(n.Ino)
	defer fs.release(nd)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if fs.mayDiffer(n.Ino) {
		return nil // by what was written since, which nobody has told us of
	}
	return fs.Index.Update(func(tx *index.Tx) error {
		now, err := tx.Inode(n.Ino)
		if err != nil || now.Gen != n.Gen || now.PlacedGen != n.PlacedGen {
			return notThere(notExist(err))
		}
		return tx.PutSums(n.Ino, s)
	})
}

// sumBase records the sums of what is about to be written to behind our back, where it is
// what the object has and they are not known. The caller holds nd.mu.
func (fs *FS) sumBase(nd *node, p *passed) error {
	n, c, err := fs.content(nd.ino)
	if err != nil || !fs.lacksSums(n, c) {
		return err
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
