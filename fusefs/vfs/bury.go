package vfs

import (
	"errors"
	"sync"
	"time"

	"objvol/fusefs/index"
)

// An unlinked inode goes when the kernel forgets it. That is asked for one by one, right
// after each unlink of what nobody has open, and nobody waits for it: so many go together,
// in one transaction. What a crash leaves of them goes when the volume is opened (sweep).

const (
	// buryAfter is how long a forgotten inode waits for others.
	buryAfter = 20 * time.Millisecond
	// buryAtOnce is how many go in one transaction, which others wait for.
	buryAtOnce = 64
)

// graves are unlinked inodes that the kernel has forgotten and that are not gone yet.
type graves struct {
	mu   sync.Mutex // protects what follows; it is taken before FS.mu
	inos []Ino
}

func (g *graves) add(fs *FS, ino Ino) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inos = append(g.inos, ino)
	if len(g.inos) > 1 || !fs.begin() {
		return
	}
	go func() {
		defer fs.tasks.Done()
		select {
		case <-time.After(buryAfter):
		case <-fs.ctx.Done():
		}
		fs.buryAll(g.take())
	}()
}

func (g *graves) take() []Ino {
	g.mu.Lock()
	defer g.mu.Unlock()
	inos := g.inos
	g.inos = nil
	return inos
}

func (fs *FS) buryAll(inos []Ino) {
	for len(inos) > 0 {
		some := inos[:min(buryAtOnce, len(inos))]
		inos = inos[len(some):]
		if err := fs.bury(some...); err != nil {
			fs.Log.Warn("unlinked inodes stay", "inodes", len(some), "error", err)
		}
	}
}

// bury removes unlinked inodes that nobody has open. One with a write under way stays for
// its end.
func (fs *FS) bury(inos ...Ino) error {
	files := make(map[Ino]uint64)
	err := fs.Index.Update(func(tx *index.Tx) error {
		for _, ino := range inos {
			file, err := fs.buryOne(tx, ino)
			if err != nil && !errors.Is(err, index.ErrNotFound) {
				return err
			}
			if file != 0 {
				files[ino] = file
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for ino, file := range files {
		err = errors.Join(err, fs.discard(ino, file))
	}
	return err
}

// buryOne returns the content file that is not needed any more, 0 for none.
func (fs *FS) buryOne(tx *index.Tx, ino Ino) (file uint64, err error) {
	n, err := tx.Inode(ino)
	if err != nil || n.Nlink > 0 || fs.isOpen(ino) {
		return 0, err
	}
	if n.Of != 0 && n.Placed != "" {
		return 0, nil // a member goes with its object
	}
	c, err := tx.Content(ino)
	if err != nil {
		return 0, err
	}
	if n.Sending != "" {
		n.Size = 0
		return c.File, errors.Join(tx.PutContent(ino, index.Content{}), tx.PutInode(n))
	}
	return c.File, errors.Join(tx.ClearDirty(ino), tx.DeleteInode(ino))
}
