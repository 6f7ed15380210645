package index

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

// Members share everything with their inode but their names and their objects.
func TestMembers(t *testing.T) {
	x := openTest(t)
	whole := Inode{
		Ino: 10, Mode: 0o100644, UID: 3, Nlink: 2, Size: 9, Gen: 5, AttrGen: 6, Link: "group", Record: 13,
		Placed: "v/b", PlacedGen: 5, Xattrs: map[string]string{"user.a": "b"},
	}
	first := Inode{Ino: 11, Of: 10, Nlink: 1, Placed: "v/a", PlacedGen: 4, PlacedAttrGen: 2, Sending: "v/c"}
	second := Inode{Ino: 12, Of: 10, Nlink: 1, Placed: "v/b", PlacedGen: 5}
	record := Inode{Ino: 13, Of: 10, Nlink: 1, Placed: "links/group", PlacedGen: 5, Vague: true}
	update(t, x, func(tx *Tx) error {
		return errors.Join(
			tx.PutInode(whole), tx.PutInode(first), tx.PutInode(second), tx.PutInode(record),
			tx.Enter(Root, "a", 11), tx.Enter(20, "b", 12))
	})

	m, err := x.Inode(11)
	want := whole
	want.Ino, want.Of, want.Nlink = 11, 10, 1
	want.Placed, want.PlacedGen, want.PlacedAttrGen, want.Sending = "v/a", 4, 2, "v/c"
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("a member is %+v, %v, want %+v", m, err, want)
	}
	if m.Whole() != 10 || m.HasMembers() || m.IsRecord() || !whole.HasMembers() || whole.Whole() != 10 {
		t.Error("a member and its inode are taken for each other")
	}
	if r, err := x.Inode(13); err != nil || !r.IsRecord() || !r.Vague {
		t.Errorf("the record is %+v, %v", r, err)
	}
	if got, err := x.Members(10); err != nil || !slices.Equal(got, []Ino{11, 12, 13}) {
		t.Errorf("members %v, %v", got, err)
	}
	if got, err := x.Names(10); err != nil || !slices.Equal(got, []Name{{Root, "a"}, {20, "b"}}) {
		t.Errorf("names of all %v, %v", got, err)
	}
	if got, err := x.Names(12); err != nil || !slices.Equal(got, []Name{{20, "b"}}) {
		t.Errorf("names of one %v, %v", got, err)
	}
	if got, err := x.Group("group"); err != nil || got != 10 {
		t.Errorf("the group is of %d, %v", got, err)
	}

	// What is shared is not a member's to change.
	m.UID, m.Gen, m.Placed, m.Link = 99, 99, "v/d", "other"
	update(t, x, func(tx *Tx) error { return tx.PutInode(m) })
	if got, err := x.Inode(11); err != nil || got.UID != 3 || got.Gen != 5 || got.Link != "group" || got.Placed != "v/d" {
		t.Errorf("a changed member is %+v, %v", got, err)
	}

	// A member can outlive its inode.
	update(t, x, func(tx *Tx) error { return tx.DeleteInode(10) })
	if got, err := x.Inode(11); err != nil || got.Of != 10 || got.Placed != "v/d" {
		t.Errorf("a member without its inode is %+v, %v", got, err)
	}
	if _, err := x.Group("group"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the group is still known: %v", err)
	}
	update(t, x, func(tx *Tx) error { return errors.Join(tx.DeleteInode(11), tx.DeleteInode(12), tx.DeleteInode(13)) })
	if got, err := x.Members(10); err != nil || len(got) > 0 {
		t.Errorf("members %v, %v of nothing", got, err)
	}
}

// Of an inode that was in no group before nobody asks Pebble for members, and of one that was
// they are still all known.
func TestFirstMember(t *testing.T) {
	x := openTest(t)
	whole := Inode{Ino: 10, Mode: 0o100644, Nlink: 1}
	update(t, x, func(tx *Tx) error { return tx.PutInode(whole) })
	whole.Link, whole.Record = "group", 11
	update(t, x, func(tx *Tx) error {
		if err := tx.PutInode(whole); err != nil {
			return err
		}
		if l, known := tx.listed[listed{tagMember, 10}]; !known || l.long || len(l.all) > 0 {
			t.Errorf("the members of a new group are %v, known: %t", l.all, known)
		}
		return errors.Join(tx.PutInode(Inode{Ino: 11, Of: 10, Nlink: 1}), tx.PutInode(whole), tx.PutInode(Inode{Ino: 12, Of: 10, Nlink: 1}))
	})
	x.store.recent.forget(x.store.number)
	update(t, x, func(tx *Tx) error {
		return errors.Join(tx.PutInode(whole), tx.PutInode(Inode{Ino: 13, Of: 10, Nlink: 1}))
	})
	if got, err := x.Members(10); err != nil || !slices.Equal(got, []Ino{11, 12, 13}) {
		t.Errorf("members %v, %v", got, err)
	}
}
