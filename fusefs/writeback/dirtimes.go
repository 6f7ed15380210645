package writeback

import (
	"sync"

	"objvol/fusefs/index"
)

// dirTimes are the directories whose objects lack nothing but the times that changes of
// their names gave them. Those follow by and by, and no fsync waits for them (hard-cases 31):
// that of a directory is there for its names. Of a directory that is not here more may be
// behind.
type dirTimes struct {
	mu   sync.Mutex           // a leaf
	gens map[index.Ino]uint64 // the generation of the attributes up to which it is so
}

// alone reports whether nothing of a directory's attributes is behind but such times.
func (t *dirTimes) alone(n index.Inode) bool {
	if n.AttrGen == n.PlacedAttrGen {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	gen, ok := t.gens[n.Ino]
	return ok && gen == n.AttrGen
}

func (t *dirTimes) set(ino index.Ino, gen uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gens[ino] = gen
}

func (t *dirTimes) forget(ino index.Ino) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.gens, ino)
}

// Retimed is called inside index.Update with a directory that is about to get new times,
// because its names change, and nothing else. What it returns, nil if there is nothing to do,
// is called after the commit with the generation of the attributes that the directory has
// got.
func (w *Writeback) Retimed(n index.Inode) (after func(gen uint64)) {
	if !w.dirTimes.alone(n) {
		return nil
	}
	return func(gen uint64) { w.dirTimes.set(n.Ino, gen) }
}
