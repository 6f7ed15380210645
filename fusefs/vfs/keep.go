package vfs

import (
	"errors"
	"slices"
	"time"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// Fetched bytes are written to the content file and then recorded as resident: in this
// order, so that a crash between the two fetches them again. Only absent bytes are
// written, which nobody reads: so that readers and other fetches go on meanwhile, and only
// local writes, cuts and the like wait. What those make of the bytes before they are
// recorded stays: only what is still absent then becomes resident.

// batch are bytes that were written to a content file and are not recorded yet.
type batch struct {
	extent.Range
	file uint64 // of index.Content, 0 for an empty batch
	gen  uint64 // for which they were fetched
}

// keep writes fetched bytes into the content file where they are still absent, and
// returns the file; 0 if none of them were.
func (fs *FS) keep(nd *node, gen uint64, off int64, bytes []byte) (file uint64, err error) {
	for range fetchTries {
		file, none, err := fs.tryKeep(nd, gen, off, bytes)
		if !none || err != nil {
			return file, err
		}
		nd.mu.Lock()
		n, c, err := fs.content(nd.ino)
		if err == nil {
			_, err = fs.contentFile(nd, c, max(n.Size, c.BaseLen))
		}
		nd.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return 0, ErrStale
}

// tryKeep is keep where there is a content file; none says that there is not.
func (fs *FS) tryKeep(nd *node, gen uint64, off int64, bytes []byte) (file uint64, none bool, err error) {
	nd.mu.RLock()
	defer nd.mu.RUnlock()
	n, c, err := fs.content(nd.ino)
	if err != nil {
		return 0, false, err
	}
	missing := c.Absent(off, int64(len(bytes)))
	if len(missing) == 0 || superseded(n, gen) {
		return 0, false, nil
	}
	if c.File == 0 {
		return 0, true, nil
	}
	f, done, err := nd.open(fs.Cache, c.File)
	if err != nil {
		return 0, false, err
	}
	defer done()
	// The disk lets one write to a file at a time, and the others spin.
	nd.filling.Lock()
	defer nd.filling.Unlock()
	for _, m := range missing {
		if _, err := f.WriteAt(bytes[m.Off-off:m.End-off], m.Off); err != nil {
			return 0, false, noSpace(err)
		}
	}
	return c.File, false, nil
}

// superseded reports whether bytes that were fetched for a generation may not be the
// object's any more. A newer generation of ours keeps its old bytes; what was sent, or came
// from another writer, has others.
func superseded(n index.Inode, gen uint64) bool { return n.PlacedGen > gen }

// record makes batches resident.
func (fs *FS) record(nd *node, batches ...batch) error {
	if !slices.ContainsFunc(batches, func(b batch) bool { return b.file != 0 }) {
		return nil
	}
	var n index.Inode
	var c index.Content
	recorded := false
	err := fs.Index.Update(func(tx *index.Tx) error {
		var err error
		if c, err = tx.Content(nd.ino); err != nil || c.File == 0 {
			return err
		}
		if n, err = tx.Inode(nd.ino); err != nil {
			return notExist(err)
		}
		for _, b := range batches {
			if b.file != c.File || superseded(n, b.gen) {
				continue // evicted or replaced: what was written is not used
			}
			for _, m := range c.Absent(b.Off, b.Len()) {
				c.Resident.Add(m.Off, m.Len())
				recorded = true
			}
		}
		if !recorded {
			return nil
		}
		return tx.PutContent(nd.ino, c)
	})
	if recorded && err == nil {
		fs.account(n, c)
	}
	return err
}

// keepNew keeps all of an object that came at once, where nothing of it is there: with its
// content file in one transaction. It is false where that is not so.
func (fs *FS) keepNew(nd *node, gen uint64, bytes []byte) (kept bool, err error) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n, c, err := fs.content(nd.ino)
	if err != nil || c.File != 0 || superseded(n, gen) || len(c.Absent(0, c.BaseLen)) != 1 {
		return false, err
	}
	local, err := fs.localFile(nd, c, int64(len(bytes)))
	if err != nil {
		return false, err
	}
	file := local.File
	f, done, err := nd.open(fs.Cache, file)
	if err != nil {
		return false, err
	}
	defer done()
	if _, err := f.WriteAt(bytes, 0); err != nil {
		return false, errors.Join(noSpace(err), fs.Cache.Remove(uint64(nd.ino), file))
	}
	err = fs.Index.Update(func(tx *index.Tx) error {
		if c, err = tx.Content(nd.ino); err != nil {
			return err
		}
		if n, err = tx.Inode(nd.ino); err != nil || c.File != 0 || superseded(n, gen) {
			return notExist(err)
		}
		kept = true
		c.File = file
		for _, m := range c.Absent(0, int64(len(bytes))) {
			c.Resident.Add(m.Off, m.Len())
		}
		return tx.PutContent(nd.ino, c)
	})
	if err != nil || !kept {
		nd.closeFile()
		return false, errors.Join(err, fs.Cache.Remove(uint64(nd.ino), file))
	}
	fs.account(n, c)
	return true, nil
}

// newContentFile returns a number for a content file: never that of an earlier one, whose
// bytes may still be there after a crash.
func newContentFile() uint64 { return uint64(time.Now().UnixNano()) }
