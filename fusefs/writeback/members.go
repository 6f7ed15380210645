package writeback

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	"objvol/fusefs/index"
)

// AddName gives an inode one more name. One that was never sent has its names itself
// (loose.go). Any other has members from its second name on: one of them takes over the first
// name and its object. It is called inside index.Update; the caller stores the inode that is
// returned, which has the new count of names, and queues it.
func AddName(tx *index.Tx, n index.Inode, parent index.Ino, name string) (index.Inode, error) {
	var err error
	switch {
	case n.HasMembers():
		err = Recount(tx, n)
	case mayBeLoose(n):
		n.Nlink++
		return n, tx.Enter(parent, name, n.Ino)
	default:
		n, err = grouped(tx, n, newGroup(), false)
		n.AttrGen++ // its object gets the name of the group
	}
	if err != nil {
		return n, err
	}
	n.Nlink++
	m := index.Inode{Ino: tx.NewIno(), Of: n.Ino, Nlink: 1}
	return n, errors.Join(tx.PutInode(n), tx.PutInode(m), tx.Enter(parent, name, m.Ino))
}

// Recount has the record of a group written again, with the number of names and the time
// of the last change of it. The objects of the names stay as they are.
func Recount(tx *index.Tx, n index.Inode) error {
	record, err := tx.Inode(n.Record)
	if err != nil {
		return err
	}
	record.AttrGen++
	return tx.PutInode(record)
}

// newGroup names a group of hard links.
func newGroup() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// grouped turns an inode into one with members, and stores it: one for each of its names,
// of which the first takes over its object. With uncounted set its group's record has still
// to be asked for.
func grouped(tx *index.Tx, n index.Inode, link string, uncounted bool) (index.Inode, error) {
	names, err := tx.Names(n.Ino)
	if err != nil {
		return n, err
	}
	record := index.Inode{Ino: tx.NewIno(), Of: n.Ino, Nlink: 1, Vague: uncounted}
	if !uncounted {
		record.AttrGen = 1
	}
	m := index.Inode{
		Ino: tx.NewIno(), Of: n.Ino, Nlink: 1,
		Placed: n.Placed, PlacedGen: n.PlacedGen, PlacedAttrGen: n.PlacedAttrGen, Sending: n.Sending,
	}
	if n.Gen == 0 { // as the bucket has it
		n.Gen, n.PlacedGen, m.PlacedGen = 1, 1, 1
	}
	n.Link, n.Record, n.Sending = link, record.Ino, ""
	err = errors.Join(tx.PutInode(n), tx.PutInode(record), tx.PutInode(m), own(tx, m.Placed, n.Ino, m.Ino))
	for i, at := range names {
		if i > 0 {
			m = index.Inode{Ino: tx.NewIno(), Of: n.Ino, Nlink: 1}
			err = errors.Join(err, tx.PutInode(m))
		}
		err = errors.Join(err, tx.Enter(at.Parent, at.Name, m.Ino))
	}
	return n, err
}

// own hands a key over from one owner to another.
func own(tx *index.Tx, key string, from, to index.Ino) error {
	k, ok, err := tx.Key(key)
	if err != nil || !ok || k.Owner != from {
		return err
	}
	k.Owner = to
	return tx.PutKey(k)
}

// Leave ends a member whose name was removed, and counts one name less. It is called
// inside index.Update; the caller stores the inode that is returned, and queues it if it
// has names left.
func (w *Writeback) Leave(tx *index.Tx, m index.Inode) (index.Inode, error) {
	if err := w.dismiss(tx, m); err != nil {
		return index.Inode{}, err
	}
	n, err := tx.Inode(m.Of)
	if err != nil {
		return n, err
	}
	n.Nlink--
	if n.Nlink > 0 {
		return n, Recount(tx, n)
	}
	record, err := tx.Inode(n.Record)
	if err != nil {
		return n, err
	}
	return n, errors.Join(w.dismiss(tx, record), tx.ClearDirty(n.Ino))
}

// dismiss takes the life from a member. Its record goes with its object.
func (w *Writeback) dismiss(tx *index.Tx, m index.Inode) error {
	m.Nlink = 0
	var err error
	if m.Placed != "" {
		w.Doomed(m.Placed)
		err = tx.Doom(m.Placed)
	}
	if m.Sending == "" {
		err = errors.Join(err, tx.ClearDirty(m.Ino))
	} else {
		// Its last write may be in the bucket: nobody else looks for it.
		w.Dirty(m.Ino, 0)
		err = errors.Join(err, tx.SetDirty(m.Ino))
	}
	return errors.Join(err, keep(tx, m))
}

// keep stores an inode. A member without a name, an object and a write under way is
// deleted: nothing will ask for it any more.
func keep(tx *index.Tx, n index.Inode) error {
	if n.Of != 0 && n.Nlink == 0 && n.Placed == "" && n.Sending == "" {
		return errors.Join(tx.ClearDirty(n.Ino), tx.DeleteInode(n.Ino))
	}
	return tx.PutInode(n)
}

// copies returns the members of an inode that have, or are to have, a copy of it.
func copies(r Reader, ino index.Ino) ([]index.Inode, error) {
	members, err := r.Members(ino)
	if err != nil {
		return nil, err
	}
	var all []index.Inode
	for _, m := range members {
		n, err := r.Inode(m)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !n.IsRecord() {
			all = append(all, n)
		}
	}
	return all, nil
}

// atHome records for the inode of a member that the member's copy is at a key now, if it
// is as new as the one that was read so far.
func atHome(tx *index.Tx, m index.Inode, from string) error {
	if m.Of == 0 || m.IsRecord() {
		return nil
	}
	n, err := tx.Inode(m.Of)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil || n.Placed != "" && n.Placed != from && n.PlacedGen > m.PlacedGen {
		return err
	}
	n.Placed, n.PlacedGen, n.PlacedAttrGen = m.Placed, m.PlacedGen, max(n.PlacedAttrGen, m.PlacedAttrGen)
	return tx.PutInode(n)
}

// rehome has an inode's content read from another copy, after that of a member at a key
// is lost.
func rehome(tx *index.Tx, m index.Inode, lost string) error {
	if m.Of == 0 || m.IsRecord() {
		return nil
	}
	n, err := tx.Inode(m.Of)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Placed != lost {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := copies(tx, n.Ino)
	if err != nil {
		return err
	}
	n.Placed = ""
	for _, c := range all {
		if c.Placed != "" && c.Placed != lost && (n.Placed == "" || c.PlacedGen > n.PlacedGen) {
			n.Placed, n.PlacedGen = c.Placed, c.PlacedGen
		}
	}
	return tx.PutInode(n)
}

// memberAt returns the member of an inode that has, or is sending, its copy at a key. A
// write that was begun before the inode had members speaks of the inode itself, and so
// does every lineage: all copies of one generation say the same.
func memberAt(tx *index.Tx, n index.Inode, key string) (index.Inode, error) {
	members, err := tx.Members(n.Ino)
	if err != nil {
		return n, err
	}
	for _, ino := range members {
		m, err := tx.Inode(ino)
		if err != nil {
			return n, err
		}
		if m.Sending == key || m.Placed == key {
			return m, nil
		}
	}
	return n, index.ErrNotFound
}

// Unsettled reports whether a write of an inode was sent whose end is not known.
func Unsettled(r Reader, n index.Inode) (bool, error) {
	if !n.HasMembers() {
		return n.Sending != "", nil
	}
	all, err := copies(r, n.Ino)
	for _, m := range all {
		if m.Sending != "" {
			return true, err
		}
	}
	return false, err
}
