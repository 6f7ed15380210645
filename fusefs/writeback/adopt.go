package writeback

import (
	"errors"
	"maps"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// Import enters an object that the index does not know as a new inode, or as one more
// name of a file. The key's record becomes its own. It is called inside index.Update; the
// returned function, which may be nil, after the commit.
func (w *Writeback) Import(tx *index.Tx, parent index.Ino, name, key string, obj objstore.Object, attr layout.Attr, foreign index.Foreign) (after func(), err error) {
	return w.enter(tx, parent, name, key, obj, attr, foreign, false)
}

// ImportAbsent is Import where the caller knows that the directory does not have the name.
func (w *Writeback) ImportAbsent(tx *index.Tx, parent index.Ino, name, key string, obj objstore.Object, attr layout.Attr, foreign index.Foreign) (after func(), err error) {
	return w.enter(tx, parent, name, key, obj, attr, foreign, true)
}

func (w *Writeback) enter(tx *index.Tx, parent index.Ino, name, key string, obj objstore.Object, attr layout.Attr, foreign index.Foreign, absent bool) (after func(), err error) {
	k := index.Key{Key: key, ETag: obj.ETag, LastModified: obj.LastModified, Size: obj.Size, Foreign: foreign, Bare: obj.ContentType == ""}
	if layout.IsRecord(key) {
		k.At = index.Name{Parent: parent, Name: name}
	}
	if attr.Link != "" {
		if later, err := w.mustWait(tx, attr); err != nil || later {
			return nil, err
		}
		return w.importLink(tx, parent, name, k, obj, attr)
	}
	n := index.Inode{Ino: tx.NewIno(), Nlink: 1, Placed: key}
	fill(&n, obj, attr)
	if isMarker(key) {
		n.Dir = &index.Dir{}
		n.Size = 0
	}
	k.Owner = n.Ino
	if absent {
		err = errors.Join(tx.EnterNew(parent, name, n), tx.PutKey(k))
	} else {
		err = errors.Join(tx.PutInode(n), tx.Enter(parent, name, n.Ino), tx.PutKey(k))
	}
	if err == nil && isRegular(n) {
		err = tx.PutContent(n.Ino, index.ObjectContent(n.PlacedGen, n.Size))
	}
	return nil, err
}

// fill gives an inode the attributes of an object.
func fill(n *index.Inode, obj objstore.Object, attr layout.Attr) {
	SetAttr(n, attr)
	n.Size = obj.Size
	n.Vague = !obj.HasMetadata
	n.Target = ""
}

// Seen merges what a look at the bucket showed of the object of a known inode, whose
// k.Owner it is. It is called inside index.Update; the returned function, which may be
// nil, after the commit.
//
// An equal ETag says that the content did not change; another LastModified that the
// metadata did. What we wrote has no LastModified until it is first seen, and may have
// been changed before: then the metadata tell, where they are shown. What has changes of
// ours under way is left alone: its conditional write finds out.
func (w *Writeback) Seen(tx *index.Tx, n index.Inode, k index.Key, obj objstore.Object) (after func(), err error) {
	// Another client's object can have got our ETag while attributes were set.
	same := k.ETag == obj.ETag && (n.Dir != nil || k.Size == obj.Size)
	if same && k.LastModified.Equal(obj.LastModified) && !(n.Vague && obj.HasMetadata) {
		return nil, nil
	}
	if !same && w.Files.Passed(n.Whole()) {
		return nil, nil // the next look after its last close takes it over
	}
	dirty := n.Gen > n.PlacedGen || n.AttrGen > n.PlacedAttrGen
	attr, _, foreign := layout.Decode(obj, n.Dir != nil, w.Defaults)
	first := k.LastModified.IsZero() && !n.Vague
	if same && first && (dirty || !obj.HasMetadata || carries(n, attr)) {
		k.LastModified = obj.LastModified
		return nil, tx.PutKey(k)
	}
	if dirty {
		return nil, nil
	}
	k.ETag, k.LastModified, k.Size = obj.ETag, obj.LastModified, obj.Size
	if obj.HasMetadata {
		k.Foreign, k.Bare = index.Foreign(foreign), obj.ContentType == ""
	}
	switch {
	case n.Of != 0 && obj.HasMetadata:
		return w.updated(tx, n, k, same, obj, attr)
	case attr.Link != "" && (n.Vague || same):
		return w.Join(tx, n, k, obj, attr)
	}
	if n.Dir != nil || same {
		if n.Of != 0 {
			return nil, tx.PutKey(k) // other metadata under the same ETag; the content is ours
		}
		if !obj.HasMetadata && !n.Vague {
			n.Vague = true // other metadata under the same ETag: ask for it when needed
		} else {
			size := n.Size
			fill(&n, obj, attr)
			if n.Dir != nil {
				n.Size = size
			}
		}
		ino := n.Ino
		return func() { w.Files.Replaced(ino, 0) }, errors.Join(tx.PutInode(n), tx.PutKey(k))
	}
	return w.adopt(tx, n, k, attr, obj.HasMetadata)
}

// carries reports whether an object has the attributes that an inode would write there.
func carries(n index.Inode, attr layout.Attr) bool {
	return attr.Mode == n.Mode && attr.UID == n.UID && attr.GID == n.GID && attr.Mtime.Equal(n.Mtime) && maps.Equal(attr.Xattrs, n.Xattrs)
}

// adopt gives an inode the content that another writer put at its key, and, as far as
// ours have not changed, its attributes.
func (w *Writeback) adopt(tx *index.Tx, n index.Inode, k index.Key, attr layout.Attr, known bool) (func(), error) {
	obj := objstore.Object{ETag: k.ETag, LastModified: k.LastModified, Size: k.Size, HasMetadata: known}
	if n.Of != 0 {
		return w.dissolve(tx, n, k, obj, attr)
	}
	c, err := tx.Content(n.Ino)
	if err != nil {
		return nil, err
	}
	if n.AttrGen == n.PlacedAttrGen {
		fill(&n, obj, attr)
	} else {
		n.Size = k.Size
	}
	n.Gen++
	n.PlacedGen, n.Sending = n.Gen, ""
	k.Owner = n.Ino
	err = errors.Join(tx.PutInode(n), tx.PutKey(k))
	if isRegular(n) {
		err = errors.Join(err, tx.PutContent(n.Ino, index.ObjectContent(n.PlacedGen, n.Size)))
	}
	ino, file := n.Ino, c.File
	return func() { w.Files.Replaced(ino, file) }, err
}

// seen merges a look at the one key of an inode.
func (w *Writeback) seen(tx *index.Tx, ino index.Ino, key string, head objstore.Object, found bool) (func(), error) {
	n, err := tx.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k, ok, err := tx.Key(key)
	if err != nil || !ok || k.Owner != ino || n.Placed != key {
		return nil, err
	}
	if _, resolved := w.resolved.Load(key); k.Request != "" && !resolved {
		return nil, nil
	}
	switch {
	case !found:
		after, err := w.bereft(tx, k)
		return after, errors.Join(err, tx.DeleteKey(key))
	case n.Nlink == 0 && k.ETag != head.ETag:
		// What took the key is another writer's: our delete or write must find that out.
		after, err := w.bereft(tx, k)
		k.Owner = 0
		return after, errors.Join(err, tx.PutKey(k))
	case n.Gen == n.PlacedGen && n.AttrGen > n.PlacedAttrGen && k.ETag != head.ETag && !w.Files.Passed(n.Whole()):
		attr, _, foreign := layout.Decode(head, n.Dir != nil, w.Defaults)
		k.ETag, k.LastModified, k.Size, k.Foreign = head.ETag, head.LastModified, head.Size, index.Foreign(foreign)
		return w.adopt(tx, n, k, attr, true)
	case n.Vague && (n.Gen > n.PlacedGen || n.AttrGen > n.PlacedAttrGen):
		n.Vague = false // ours are the newer ones
		return nil, tx.PutInode(n)
	}
	return w.Seen(tx, n, k, head)
}

// bereft handles a key's owner whose object there another client removed or replaced.
// What is whole on this host or has new content of ours is written again; the rest is
// gone with its names. The key's record is the caller's.
func (w *Writeback) bereft(tx *index.Tx, k index.Key) (after func(), err error) {
	n, err := tx.Inode(k.Owner)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Placed != k.Key {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.Of != 0 {
		return w.bereftMember(tx, n, k.Key)
	}
	n.Placed = ""
	if n.Nlink == 0 {
		return nil, tx.PutInode(n)
	}
	c, err := tx.Content(n.Ino)
	if err != nil {
		return nil, err
	}
	switch {
	case n.Dir != nil:
		n.AttrGen = max(n.AttrGen, n.PlacedAttrGen+1)
	case n.Gen > n.PlacedGen, n.Size == 0, n.Target != "", isRegular(n) && len(c.Absent(0, n.Size)) == 0:
		n.Gen = max(n.Gen, n.PlacedGen+1)
		if isRegular(n) {
			err = w.withoutBase(tx, n)
		}
	default:
		return w.bury(tx, n, k.Key)
	}
	w.Dirty(n.Ino, 0)
	return nil, errors.Join(err, tx.PutInode(n), tx.SetDirty(n.Ino))
}

// bury takes all names from an inode of which nothing is left.
func (w *Writeback) bury(tx *index.Tx, n index.Inode, key string) (after func(), err error) {
	names, err := tx.Names(n.Ino)
	if err != nil {
		return nil, err
	}
	for _, at := range names {
		err = errors.Join(err, tx.Remove(at.Parent, at.Name))
	}
	n.Nlink = 0
	w.Log.Warn("an object was removed by another client", "key", key)
	return func() {
		for _, at := range names {
			w.Files.EntryChanged(at.Parent, at.Name)
		}
	}, errors.Join(err, tx.PutInode(n))
}

// Vanished handles a name whose object a complete listing did not show: another client
// removed it. What has changes of ours, or lies elsewhere still, stays. It is called
// inside index.Update; the returned function, which may be nil, after the commit.
func (w *Writeback) Vanished(tx *index.Tx, parent index.Ino, name string, n index.Inode, key string) (after func(), err error) {
	if n.Placed != key || n.Gen > n.PlacedGen || n.AttrGen > n.PlacedAttrGen || n.Sending != "" || w.Files.Passed(n.Whole()) {
		return nil, nil
	}
	if n.Of != 0 {
		err = errors.Join(tx.Remove(parent, name), tx.DeleteKey(key), tx.Spare(key), w.withdraw(tx, n, key))
		return func() {
			w.Files.EntryChanged(parent, name)
			w.Files.Replaced(n.Of, 0)
		}, err
	}
	n.Nlink--
	err = errors.Join(tx.Remove(parent, name), tx.DeleteKey(key), tx.Spare(key))
	var others func()
	if n.Nlink == 0 {
		n.Placed = ""
		err = errors.Join(err, tx.PutInode(n))
	} else if err = errors.Join(err, tx.PutInode(n)); err == nil {
		others, err = w.bereft(tx, index.Key{Key: key, Owner: n.Ino})
	}
	// The content stays for those who have it open.
	return func() {
		w.Files.EntryChanged(parent, name)
		w.Files.Replaced(n.Ino, 0)
		if others != nil {
			others()
		}
	}, err
}
