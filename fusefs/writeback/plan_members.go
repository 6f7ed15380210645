package writeback

import (
	"errors"

	"objvol/fusefs/index"
)

// planMembers plans for an inode with several names: each of them is a task of its own.
func (p planner) planMembers(n index.Inode) (Step, error) {
	members, err := p.Members(n.Ino)
	if err != nil {
		return Step{}, err
	}
	for _, ino := range members {
		m, err := p.Inode(ino)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return Step{}, err
		}
		if m.Nlink == 0 {
			continue
		}
		key, err := KeyOf(p, p.layout, m)
		if err != nil {
			return Step{}, err
		}
		if differs(m, key) || m.Sending != "" {
			return wait(inodeTask(ino)), nil
		}
	}
	return Step{}, nil
}

// recordFirst returns the record of a member's group if it has to be written, or asked
// for, before the member's copy: it tells which of them is the newest (hard-cases 29).
func (p planner) recordFirst(n index.Inode) (index.Ino, bool, error) {
	if n.Of == 0 || n.IsRecord() {
		return 0, false, nil
	}
	record, err := p.Inode(n.Record)
	if err != nil {
		return 0, false, err
	}
	return n.Record, record.Vague || record.PlacedGen < n.Gen || record.Placed == "", nil
}

// source returns the key at which the bucket has an inode's bytes, and their generation.
// A member without a copy as new uses that of another.
func (p planner) source(n index.Inode) (key string, gen uint64, err error) {
	if n.Of == 0 || n.IsRecord() || n.Placed != "" && n.PlacedGen == n.Gen {
		return n.Placed, n.PlacedGen, nil
	}
	whole, err := p.Inode(n.Of)
	return whole.Placed, whole.PlacedGen, err
}

// lastCopy returns the name that must have its own copy of an inode before a key goes
// which holds the newest one for a name that was removed: what the bucket once had it
// has at any time.
func (p planner) lastCopy(k index.Key) (task, bool, error) {
	gone, err := p.Inode(k.Owner)
	if errors.Is(err, index.ErrNotFound) {
		return task{}, false, nil
	}
	if err != nil || gone.Of == 0 || gone.Nlink > 0 || gone.IsRecord() {
		return task{}, false, err
	}
	// Another removed name's copy is none to rely on: a delete of it may be under way.
	whole, err := p.Inode(gone.Of)
	if errors.Is(err, index.ErrNotFound) || err == nil && (gone.Placed != k.Key || whole.PlacedGen > gone.PlacedGen) {
		return task{}, false, nil
	}
	if err != nil {
		return task{}, false, err
	}
	all, err := copies(p, whole.Ino)
	var next task
	for _, m := range all {
		switch {
		case m.Nlink == 0:
		case m.Placed != "" && m.PlacedGen >= gone.PlacedGen:
			return task{}, false, nil
		case next.ino == 0:
			next = inodeTask(m.Ino)
		}
	}
	return next, next.ino != 0, err
}
