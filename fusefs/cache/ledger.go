package cache

import (
	"container/list"
	"sync"
)

// Ledger counts what each inode takes on the disk and remembers in which order the
// evictable ones were used. It calls nobody; the zero value is empty. Every method but
// Victims takes constant time.
type Ledger struct {
	// mu protects everything below; it is a leaf.
	mu      sync.Mutex
	entries map[uint64]*account
	total   int64     // bytes of all entries
	pinned  int64     // of those that cannot be evicted
	idle    list.List // of *account, those that can be evicted, last used in front
}

// account is one inode's line.
type account struct {
	ino   uint64
	bytes int64
	place *list.Element // in idle; nil while it cannot be evicted or has no bytes
}

// Set records what an inode takes, in bytes, and whether it could be evicted. An inode
// that becomes evictable was used just now; one that was so already keeps its place.
func (l *Ledger) Set(ino uint64, bytes int64, evictable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.entries[ino]
	if a == nil {
		if l.entries == nil {
			l.entries = make(map[uint64]*account)
		}
		a = &account{ino: ino}
		l.entries[ino] = a
	}
	if a.place == nil {
		l.pinned -= a.bytes
	}
	l.total += bytes - a.bytes
	a.bytes = bytes
	switch idle := evictable && bytes > 0; {
	case idle && a.place == nil:
		a.place = l.idle.PushFront(a)
	case !idle && a.place != nil:
		l.idle.Remove(a.place)
		a.place = nil
	}
	if a.place == nil {
		l.pinned += bytes
	}
}

// Touch records a use of an inode. An unknown one is ignored.
func (l *Ledger) Touch(ino uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.entries[ino]; a != nil && a.place != nil {
		l.idle.MoveToFront(a.place)
	}
}

// Remove forgets an inode. An unknown one is ignored.
func (l *Ledger) Remove(ino uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.entries[ino]
	if a == nil {
		return
	}
	if a.place != nil {
		l.idle.Remove(a.place)
	} else {
		l.pinned -= a.bytes
	}
	l.total -= a.bytes
	delete(l.entries, ino)
}

// Total returns the bytes of all inodes, evictable or not.
func (l *Ledger) Total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
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
	for e := l.idle.Back(); e != nil && left > limit; e = e.Prev() {
		a := e.Value.(*account)
		victims = append(victims, a.ino)
		left -= a.bytes
	}
	return victims
}
