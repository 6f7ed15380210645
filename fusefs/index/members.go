package index

import (
	"encoding/binary"
	"errors"
)

// An inode with several names, hard links, is one Inode with a group (Link) and no name of
// its own, unless the bucket has nothing of it: then it has its names itself. Each name of a
// group is that of a member: an inode number that nobody sees, whose record holds what is the
// name's own, that is where the bucket has a copy of the inode for it, and which shares all
// else. The write-back sees a member as an inode with one name. One more member, without a
// name, stands for the group's record in the bucket (Record). Of the inode with members
// Placed is the newest of their copies, from which its content is read.

// Whole is the number of the inode that a member belongs to, and of every other inode its
// own: that of its content and attributes, and the one to show.
func (n Inode) Whole() Ino {
	if n.Of != 0 {
		return n.Of
	}
	return n.Ino
}

// HasMembers reports whether an inode's names are those of its members.
func (n Inode) HasMembers() bool { return n.Link != "" && n.Of == 0 }

// IsRecord reports whether a member stands for its group's record.
func (n Inode) IsRecord() bool { return n.Of != 0 && n.Ino == n.Record }

// sharing returns a member with what it shares with its inode. Whether the record of a
// group was looked at, and how often what it says has changed, is the record's own.
func (n Inode) sharing(whole Inode) Inode {
	m := whole
	m.Ino, m.Of, m.Nlink = n.Ino, n.Of, n.Nlink
	m.Placed, m.PlacedGen, m.PlacedAttrGen, m.Sending = n.Placed, n.PlacedGen, n.PlacedAttrGen, n.Sending
	if m.IsRecord() {
		m.Vague, m.AttrGen = n.Vague, n.AttrGen
	}
	return m
}

// stripped returns a member without what it shares.
func (n Inode) stripped() Inode {
	return Inode{
		Ino: n.Ino, Of: n.Of, Nlink: n.Nlink, Vague: n.Vague, AttrGen: n.AttrGen,
		Placed: n.Placed, PlacedGen: n.PlacedGen, PlacedAttrGen: n.PlacedAttrGen, Sending: n.Sending,
	}
}

// Members returns the members of an inode, ascending, the group's record included; none if
// it has none.
func (r reader) Members(ino Ino) ([]Ino, error) {
	list, err := r.list(tagMember, ino)
	var members []Ino
	for _, m := range list {
		members = append(members, inoAt([]byte(m), 0))
	}
	return members, err
}

// Group returns the inode whose names are a group of hard links, ErrNotFound if none of
// them was seen.
func (r reader) Group(link string) (Ino, error) {
	return load(r, textKey(tagGroup, link), func(b []byte) (Ino, error) {
		d := decoder{b: b}
		ino := Ino(d.uvarint())
		return ino, d.done()
	})
}

// group records that an inode which is about to be stored is a member or has some.
func (tx *Tx) group(n *Inode) error {
	switch {
	case n.Of != 0:
		*n = n.stripped()
		return tx.putListed(tagMember, n.Of, memberKey(n.Of, n.Ino))
	case n.Link != "":
		if err := tx.beginMembers(n.Ino); err != nil {
			return err
		}
		return tx.put(textKey(tagGroup, n.Link), binary.AppendUvarint(nil, uint64(n.Ino)))
	}
	return nil
}

// beginMembers notes that an inode which was in no group before has no members yet, so that
// nobody walks for them.
func (tx *Tx) beginMembers(ino Ino) error {
	was, err := tx.own(ino)
	if err == nil && was.Link != "" {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	at := listed{tagMember, ino}
	if _, known := tx.listed[at]; !known {
		tx.relisted(at, list{})
	}
	return nil
}

// Ungroup forgets that an inode is a member, or that its names are those of a group. Its own
// record is the caller's to change, afterwards.
func (tx *Tx) Ungroup(ino Ino) error {
	n, err := tx.own(ino)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case n.Of != 0:
		return tx.dropListed(tagMember, n.Of, memberKey(n.Of, ino))
	case n.Link == "":
		return nil
	}
	at, err := tx.Group(n.Link)
	if errors.Is(err, ErrNotFound) || err == nil && at != ino {
		return nil
	}
	return errors.Join(err, tx.drop(textKey(tagGroup, n.Link)))
}
