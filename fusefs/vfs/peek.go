package vfs

import (
	"context"
	"errors"
	"sync"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// The attributes of a directory cost a look at its marker and, where it has none, one at
// what is in it. The first page of its listing tells both, and where it is the only one
// the directory is listed by it. So one who reads a directory together with attributes
// finds those in it listed, if they are not large: whoever walks a tree enters them next.
// What is listed so and not entered is bounded.

const (
	// peekFirst and peekMost bound the names that were listed and not asked for yet: at
	// first, and after what was listed was asked for.
	peekFirst = 20_000
	peekMost  = 200_000
)

// peeks are the directories that were listed before anybody entered them.
type peeks struct {
	mu     sync.Mutex  // protects what follows; a leaf
	names  map[Ino]int // how many each has
	out    int         // sum of names
	budget int
}

// allowed reports whether one more directory may be listed.
func (p *peeks) allowed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out < max(p.budget, peekFirst)
}

func (p *peeks) listed(dir Ino, names int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = make(map[Ino]int)
	}
	names++ // an empty one is one more, too
	p.out += names - p.names[dir]
	p.names[dir] = names
}

// entered notes that somebody reads a directory.
func (p *peeks) entered(dir Ino) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.names[dir]; ok {
		delete(p.names, dir)
		p.out -= n
		p.budget = min(max(p.budget, peekFirst)+n, peekMost)
	}
}

// errNotPeeked ends a look into a directory that tells too little, or would tell too much.
var errNotPeeked = errors.New("the directory is not listed by a look into it")

// lookInto lists a directory of which nothing is known but its name, unless it is large.
func (fs *FS) lookInto(ctx context.Context, n index.Inode) {
	if !n.Vague || n.Dir == nil || n.Dir.Listed || n.Placed != "" || !fs.Bucket.Capabilities().ListMetadata || !fs.peeks.allowed() {
		return
	}
	// If this fails, whoever asks for the attributes finds out.
	_ = fs.await(ctx, fs.listing(n.Ino, forPeek), lookTime)
}

// worth reports whether the first page of a listing is all of it, and has something that
// can be shown for sure: what lies deeper may be hidden keys only.
func (s *scan) worth(page objstore.Page) bool {
	if page.Next != "" {
		return false
	}
	for _, obj := range page.Objects {
		if e := s.folder.Entry(obj.Key); e.Hidden == layout.Shown && (!e.Dir || e.Self && layout.IsMarker(obj)) {
			return true
		}
	}
	return false
}

// end reports whether a listing ends after its first page, since nobody but a look into the
// directory waits for it. Nobody joins it any more then.
func (s *scan) end() bool {
	if s.flight == nil {
		return false
	}
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if !s.flight.peek {
		return false
	}
	delete(s.fs.listings, s.dir)
	return true
}

// clearUp gives a directory without a marker the attributes that it has by default, which
// its listing shows as well as a look at the marker would.
func (s *scan) clearUp(c *change, n *index.Inode) error {
	prefix, ok := s.folder.Prefix()
	if !n.Vague || !unmarked(*n) || !ok || s.dir == Root || s.folder.Marker() != prefix || s.look.Overtaken(prefix) {
		return nil
	}
	if empty, err := c.Empty(s.dir); err != nil || empty {
		return err
	}
	if _, known, err := c.Key(prefix); err != nil || known {
		return err
	}
	attr, _, _ := layout.Decode(objstore.Object{}, true, s.fs.Defaults)
	writeback.SetAttr(n, attr)
	n.Vague = false
	n.Atime, n.Mtime, n.Ctime = c.now, c.now, c.now
	return nil
}
