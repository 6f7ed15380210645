package vfs

import (
	"sync"
	"time"

	"objvol/fusefs/index"
)

// What the kernel was told of a directory's names, attributes included, it remembers until
// they expire. Who reads the directory again before then is told the names alone: telling the
// rest once more makes the kernel forget the access control lists that it had asked for, file
// by file. Should it have forgotten more than we know of, it asks for that name.

const (
	// toldSpare is how long before they expire the attributes are told again, so that who
	// asks for them after the names finds them.
	toldSpare = time.Second
	// toldMost is how many directories are remembered.
	toldMost = 8192
)

// told is what the kernel knows of one directory, all of it.
type told struct {
	until   time.Time // it expires
	listed  time.Time // Dir.ListedAt then
	forgets uint64    // of the volume then
}

// tolds are those of a volume.
type tolds struct {
	mu      sync.Mutex // protects what follows and the tellings of handles; a leaf
	of      map[Ino]told
	forgets uint64 // how often the kernel has forgotten an inode that has a name
}

// telling is a reading of a directory, from its first name to the last.
type telling struct {
	begun bool
	told
}

// forgot notes that the kernel has forgotten an inode.
func (t *tolds) forgot() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgets++
}

// knows reports whether the kernel knows all names of a directory with their attributes.
func (t *tolds) knows(dir index.Inode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.of[dir.Ino]
	return ok && dir.Dir != nil && k.forgets == t.forgets && k.listed.Equal(dir.Dir.ListedAt) && time.Until(k.until) > toldSpare
}

// begin notes that a directory is read from its first name on, with attributes that expire
// after so long.
func (t *tolds) begin(of *telling, ttl time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*of = telling{begun: true, told: told{until: time.Now().Add(ttl), forgets: t.forgets}}
}

// skip notes that names were reported alone.
func (t *tolds) skip(of *telling) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of.begun = false
}

// end notes that the last name was reported of a directory that was listed then.
func (t *tolds) end(of *telling, dir Ino, listed time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !of.begun {
		return
	}
	of.begun = false
	if t.of == nil || len(t.of) >= toldMost {
		t.of = make(map[Ino]told)
	}
	of.listed = listed
	t.of[dir] = of.told
}
