package cache

import "sync"

// Ledger counts what each inode takes on the disk and remembers in which order the
// evictable ones were used. It calls nobody; the zero value is empty. Every method but
// Victims takes constant time. There may be millions of inodes: one takes about 70 bytes,
// in which there is no pointer for the garbage collector to follow.
type Ledger struct {
	// mu protects everything below; it is a leaf.
	mu     sync.Mutex
	lines  map[uint64]uint32 // inode -> number of its line
	pages  []*[linesPerPage]line
	used   uint32 // lines that were ever in use, with line 0
	spare  uint32 // the first of those that are not in use any more; 0 for none
	total  int64  // bytes of all inodes
	pinned int64  // of those that cannot be evicted
}

// linesPerPage is how many lines are allocated at once.
const linesPerPage = 1 << 12

// line is what the ledger knows of one inode. The evictable ones are a ring, in which line
// 0 stands between the one last used, which is older than it, and the longest unused.
type line struct {
	ino          uint64
	bytes        int64
	newer, older uint32 // both the line's own number while it is not in the ring
}

func (l *Ledger) line(i uint32) *line { return &l.pages[i/linesPerPage][i%linesPerPage] }

// addLocked begins a line.
func (l *Ledger) addLocked(ino uint64) uint32 {
	if l.lines == nil {
		l.lines = make(map[uint64]uint32)
	}
	i := l.spare
	if i != 0 {
		l.spare = l.line(i).older
	} else {
		i = max(l.used, 1) // line 0 is the ring's, and in it alone
		if int(i/linesPerPage) == len(l.pages) {
			l.pages = append(l.pages, new([linesPerPage]line))
		}
		l.used = i + 1
	}
	*l.line(i) = line{ino: ino, newer: i, older: i}
	l.lines[ino] = i
	return i
}

func (l *Ledger) isIdle(i uint32) bool { return l.line(i).newer != i }

// leaveLocked takes a line out of the ring.
func (l *Ledger) leaveLocked(i uint32) {
	at := l.line(i)
	l.line(at.newer).older, l.line(at.older).newer = at.older, at.newer
	at.newer, at.older = i, i
}

// enterLocked makes a line the one last used.
func (l *Ledger) enterLocked(i uint32) {
	at, ring := l.line(i), l.line(0)
	at.newer, at.older = 0, ring.older
	l.line(ring.older).newer = i
	ring.older = i
}

// Set records what an inode takes, in bytes, and whether it could be evicted. An inode
// that becomes evictable was used just now; one that was so already keeps its place.
func (l *Ledger) Set(ino uint64, bytes int64, evictable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.lines[ino]
	if !ok {
		i = l.addLocked(ino)
	}
	at, was := l.line(i), l.isIdle(i)
	if !was {
		l.pinned -= at.bytes
	}
	l.total += bytes - at.bytes
	at.bytes = bytes
	switch idle := evictable && bytes > 0; {
	case idle && !was:
		l.enterLocked(i)
	case !idle && was:
		l.leaveLocked(i)
	}
	if !l.isIdle(i) {
		l.pinned += bytes
	}
}

// Touch records a use of an inode. An unknown one is ignored.
func (l *Ledger) Touch(ino uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i, ok := l.lines[ino]; ok && l.isIdle(i) {
		l.leaveLocked(i)
		l.enterLocked(i)
	}
}

// Remove forgets an inode. An unknown one is ignored.
func (l *Ledger) Remove(ino uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.lines[ino]
	if !ok {
		return
	}
	at := l.line(i)
	if l.isIdle(i) {
		l.leaveLocked(i)
	} else {
		l.pinned -= at.bytes
	}
	l.total -= at.bytes
	delete(l.lines, ino)
	at.older, l.spare = l.spare, i
}

// Total returns the bytes of all inodes, evictable or not.
func (l *Ledger) Total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Share returns the bytes of one inode, and those of all others.
func (l *Ledger) Share(ino uint64) (own, others int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i, ok := l.lines[ino]; ok {
		own = l.line(i).bytes
	}
	return own, l.total - own
}

// Pinned returns the bytes of the inodes that cannot be evicted.
func (l *Ledger) Pinned() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pinned
}

// Victims returns the inodes to evict, the longest unused first, so that the total
// comes down to the limit, or as near to it as evictable ones can bring it. The ledger
// does not change: whoever evicts reports it by Set or Remove.
func (l *Ledger) Victims(limit int64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var victims []uint64
	left := l.total
	if len(l.pages) == 0 {
		return nil
	}
	for i := l.line(0).newer; i != 0 && left > limit; {
		at := l.line(i)
		victims = append(victims, at.ino)
		left -= at.bytes
		i = at.newer
	}
	return victims
}
