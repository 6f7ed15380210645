package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// The modes of fallocate(2) that there are; zeroing and punching exclude each other.
const (
	FallocKeepSize  = 0x01
	FallocPunchHole = 0x02
	FallocZeroRange = 0x10
)

// Fallocate reserves space on the local disk for n bytes from off of an open file, which
// grows if it ends before them and FallocKeepSize is not set. With FallocZeroRange the
// bytes become zeros, with FallocPunchHole zeros that take no space. What the bucket
// alone has is neither fetched nor, once it is zeros, asked for again.
// Errors: ErrNotSupported for other modes, ErrTooBig, ErrNoSpace.
func (fs *FS) Fallocate(_ context.Context, fh uint64, off, n int64, mode uint32) error {
	h, err := fs.handle(fh)
	if err != nil {
		return err
	}
	switch mode &^ FallocKeepSize {
	case 0, FallocPunchHole, FallocZeroRange:
	default:
		return ErrNotSupported
	}
	if off < 0 || n <= 0 {
		return ErrInvalid
	}
	if n > sizeMax-off {
		return ErrTooBig
	}
	nd := h.node
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if fs.isPassed(nd.ino) {
		return fs.fallocatePassed(nd, off, n, mode)
	}
	_, c, err := fs.begun(nd, off, n)
	if err != nil {
		return err
	}
	if mode&FallocPunchHole != 0 {
		return fs.clear(nd, off, n)
	}
	if err := fs.free(missing(c, off, n)); err != nil {
		return err
	}
	if mode&FallocZeroRange != 0 {
		if err := fs.clear(nd, off, n); err != nil {
			return err
		}
	}
	end := off + n
	if mode&FallocKeepSize != 0 {
		end = 0
	}
	return fs.allocate(nd, off, n, end)
}

// fallocatePassed is Fallocate for a content file that the kernel was given. The caller
// holds nd.mu.
func (fs *FS) fallocatePassed(nd *node, off, n int64, mode uint32) error {
	if mode&FallocPunchHole == 0 {
		if err := fs.free(n); err != nil {
			return err
		}
	}
	return unable(fs.changePassed(nd, func(f *cache.File) error { return f.Fallocate(mode, off, n) }))
}

// clear makes bytes of a file zeros, first in the index and then on the disk: there only
// to give back space, which not every disk can. The caller holds nd.mu.
func (fs *FS) clear(nd *node, off, n int64) error {
	c, err := fs.changeContent(nd, 0, func(c *index.Content) { c.Clear(off, n) })
	if err != nil || c.File == 0 {
		return err
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	if err := f.Punch(off, n); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// allocate reserves space for bytes of a file, and makes it end at end at least. What was
// no content before is zeros in the content file then. The caller holds nd.mu.
func (fs *FS) allocate(nd *node, off, n, end int64) error {
	c, err := fs.Index.Content(nd.ino)
	if err != nil {
		return err
	}
	if c, err = fs.contentFile(nd, c, sizeMax); err != nil {
		return err
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	zeros := c.Zeros(off, n)
	if err := reserve(f, zeros, off, n); err != nil {
		return unable(err)
	}
	_, err = fs.changeContent(nd, end, func(c *index.Content) {
		for _, z := range zeros {
			c.Fill(z.Off, z.Len())
		}
	})
	return err
}

// reserve allocates a range of a content file. What lies there unused, of an operation
// that was never recorded, must not come to light.
func reserve(f *cache.File, zeros []extent.Range, off, n int64) error {
	for _, z := range zeros {
		if err := f.Punch(z.Off, z.Len()); err != nil {
			return err
		}
	}
	return f.Allocate(off, n)
}

// unable names what the local disk cannot do, in the filesystem's words.
func unable(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(ErrNotSupported, err)
	}
	return noSpace(err)
}

// changeContent records a change of where bytes are, which makes the file end at end at
// least, with its times. The caller holds nd.mu and has called begun.
func (fs *FS) changeContent(nd *node, end int64, fn func(c *index.Content)) (index.Content, error) {
	var n index.Inode
	var c index.Content
	err := fs.Index.Update(func(tx *index.Tx) error {
		var err error
		if n, err = tx.Inode(nd.ino); err != nil {
			return notExist(err)
		}
		if c, err = tx.Content(nd.ino); err != nil {
			return err
		}
		fn(&c)
		now := coarseNow()
		n.Size = max(n.Size, end)
		n.Mtime, n.Ctime = now, now
		return errors.Join(tx.PutInode(n), tx.PutContent(nd.ino, c))
	})
	if err == nil {
		fs.account(n, c)
	}
	return c, err
}
