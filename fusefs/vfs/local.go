package vfs

import (
	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// localFile makes sure that an inode has a content file, and that it can hold everything
// below end: a small content shares its file with others, a larger one has its own. The
// file is in the content returned and nowhere else: who has written to it records it
// (moved). The caller holds nd.mu.
func (fs *FS) localFile(nd *node, c index.Content, end int64) (index.Content, error) {
	if c.File != 0 && (end <= cache.SmallMost || !cache.IsSmall(c.File)) {
		return c, nil
	}
	if c.File == 0 {
		c.Resident = extent.Set{}
	}
	if end <= cache.SmallMost {
		gen, err := nd.createSmall(fs.Cache)
		if err != nil {
			return c, noSpace(err)
		}
		c.File = gen
		return c, nil
	}
	gen := newContentFile()
	if err := fs.ownFile(nd, c, gen); err != nil {
		return c, noSpace(err)
	}
	c.File = gen
	return c, nil
}

// ownFile makes the content file of a generation, with what an inode has in a shared one.
func (fs *FS) ownFile(nd *node, c index.Content, gen uint64) error {
	if c.File == 0 {
		return nd.create(fs.Cache, gen)
	}
	from, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return err
	}
	defer done()
	if err := nd.create(fs.Cache, gen); err != nil {
		return err
	}
	to, doneToo, err := nd.open(fs.Cache, gen)
	if err != nil {
		return err
	}
	defer doneToo()
	for _, r := range c.Resident.Ranges() {
		if err := from.CopyRange(to, r.Off, r.Off, r.Len()); err != nil {
			return err
		}
	}
	return nil
}

// moved records in a content the file that localFile gave, and returns the one that is of
// no use any more after the commit, 0 for none.
func moved(now *index.Content, c index.Content) (old uint64) {
	if now.File == c.File {
		return 0
	}
	old = now.File
	now.File, now.Resident = c.File, c.Resident
	return old
}

// recordFile records the file that localFile gave, before anything is written to it.
func (fs *FS) recordFile(nd *node, c index.Content) (index.Content, error) {
	var old uint64
	err := fs.Index.Update(func(tx *index.Tx) error {
		now, err := tx.Content(nd.ino)
		if err != nil {
			return err
		}
		old = moved(&now, c)
		c = now
		return tx.PutContent(nd.ino, now)
	})
	if err == nil {
		fs.leftFile(nd, old)
	}
	return c, err
}

// leftFile removes the shared place that an inode's content has left. The caller holds
// nd.mu.
func (fs *FS) leftFile(nd *node, old uint64) {
	if old == 0 {
		return
	}
	if err := fs.Cache.Remove(uint64(nd.ino), old); err != nil {
		fs.Log.Warn("a content file stays until the next start", "inode", uint64(nd.ino), "error", err)
	}
}
