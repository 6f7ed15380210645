package writeback

import (
	"context"
	"errors"
	"strings"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// importLink enters an object that says to be one of several names of a file. The first
// that is seen of a group makes the inode; the others join it. Of two generations the
// higher is the file's, and the other object is written again (hard-cases 29). An object
// that another tool changed, and that still carries what we wrote on it, is a file of its
// own. What it returns is called after the commit.
func (w *Writeback) importLink(tx *index.Tx, parent index.Ino, name string, k index.Key, obj objstore.Object, attr layout.Attr) (after func(), err error) {
	ino, err := tx.Group(attr.Link)
	if errors.Is(err, index.ErrNotFound) {
		n := index.Inode{Ino: tx.NewIno(), Nlink: 1}
		k.Owner = n.Ino
		if err := errors.Join(tx.Enter(parent, name, n.Ino), tx.PutKey(k)); err != nil {
			return nil, err
		}
		return nil, beginGroup(tx, n, k, obj, attr)
	}
	if err != nil {
		return nil, err
	}
	n, err := tx.Inode(ino)
	if err != nil {
		return nil, err
	}
	home, _, err := tx.Key(n.Placed)
	if err != nil {
		return nil, err
	}
	if n.Nlink == 0 || n.Mode&layout.TypeMask != attr.Mode&layout.TypeMask || !mayJoin(n, home, k, attr.LinkGen) {
		return nil, w.importAlone(tx, parent, name, k, obj, attr)
	}
	m := index.Inode{Ino: tx.NewIno(), Of: ino, Nlink: 1, Placed: k.Key, PlacedGen: attr.LinkGen, PlacedAttrGen: n.PlacedAttrGen}
	k.Owner = m.Ino
	if err := errors.Join(tx.PutInode(m), tx.PutKey(k), tx.Enter(parent, name, m.Ino)); err != nil {
		return nil, err
	}
	if attr.LinkGen > n.PlacedGen {
		if after, err = w.newer(tx, n, m, obj, attr); err != nil {
			return after, err
		}
	}
	return after, errors.Join(w.heal(tx, ino), counted(tx, ino, 0))
}

// mustWait reports whether an object would give the file of its group another content while
// programs use the one before: a look after their last close takes it over.
func (w *Writeback) mustWait(tx *index.Tx, attr layout.Attr) (bool, error) {
	ino, err := tx.Group(attr.Link)
	if errors.Is(err, index.ErrNotFound) || err == nil && !w.Files.Passed(ino) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n, err := tx.Inode(ino)
	return err == nil && attr.LinkGen > n.PlacedGen, err
}

// mayJoin reports whether an object with a generation can be a copy of an inode, of which
// the one at home is known.
func mayJoin(n index.Inode, home, k index.Key, gen uint64) bool {
	clean := n.Gen == n.PlacedGen
	switch {
	case n.Placed == "" || gen < n.PlacedGen:
		return true
	case gen > n.PlacedGen:
		return clean
	}
	// The ETag of an object that was made of parts tells nothing of its content.
	parts := strings.Contains(k.ETag, "-") || strings.Contains(home.ETag, "-")
	return k.Size == home.Size && (parts || k.ETag == home.ETag)
}

// beginGroup gives the first inode that is seen of a group what its object says.
func beginGroup(tx *index.Tx, n index.Inode, k index.Key, obj objstore.Object, attr layout.Attr) error {
	known := n.Placed != "" && !n.Vague
	fill(&n, obj, attr)
	n.Gen = max(1, n.Gen, attr.LinkGen)
	n.Placed, n.PlacedGen = k.Key, n.Gen
	if _, err := grouped(tx, n, attr.Link, true); err != nil || known || !isRegular(n) {
		return err
	}
	return tx.PutContent(n.Ino, index.ObjectContent(n.PlacedGen, n.Size))
}

// importAlone enters an object of a group as a file of its own.
func (w *Writeback) importAlone(tx *index.Tx, parent index.Ino, name string, k index.Key, obj objstore.Object, attr layout.Attr) error {
	w.Log.Warn("an object was changed by another client: it is no hard link any more", "key", k.Key)
	attr.Link = ""
	_, err := w.Import(tx, parent, name, k.Key, obj, attr, k.Foreign)
	return err
}

// newer gives an inode the content and the attributes of a member's object that is newer
// than all that were seen.
func (w *Writeback) newer(tx *index.Tx, n, m index.Inode, obj objstore.Object, attr layout.Attr) (after func(), err error) {
	c, err := tx.Content(n.Ino)
	if err != nil {
		return nil, err
	}
	fill(&n, obj, attr)
	n.Gen = max(n.Gen, attr.LinkGen)
	n.Placed, n.PlacedGen = m.Placed, n.Gen
	m.PlacedGen = n.Gen
	err = errors.Join(tx.PutInode(n), tx.PutInode(m))
	if isRegular(n) {
		err = errors.Join(err, tx.PutContent(n.Ino, index.ObjectContent(n.PlacedGen, n.Size)))
	}
	return func() { w.Files.Replaced(n.Ino, c.File) }, err
}

// heal queues an inode with members if one of their objects is older than another.
func (w *Writeback) heal(tx *index.Tx, ino index.Ino) error {
	all, err := copies(tx, ino)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Nlink > 0 && m.PlacedGen < m.Gen {
			w.Dirty(ino, 0)
			return tx.SetDirty(ino)
		}
	}
	return nil
}

// counted corrects how many names an inode has by what its group's record says, and by
// what is known: no fewer than were seen, and no others while the record was not asked.
func counted(tx *index.Tx, ino index.Ino, recorded uint32) error {
	n, err := tx.Inode(ino)
	if err != nil {
		return err
	}
	record, err := tx.Inode(n.Record)
	if err != nil {
		return err
	}
	all, err := copies(tx, ino)
	if err != nil {
		return err
	}
	var seen uint32
	for _, m := range all {
		if m.Nlink > 0 {
			seen++
		}
	}
	if !record.Vague && recorded == 0 {
		recorded = n.Nlink
	}
	n.Nlink = max(seen, recorded)
	return tx.PutInode(n)
}

// CountLinks asks a group's record how many names an inode has, if that is not known.
func (w *Writeback) CountLinks(ctx context.Context, n index.Inode) error {
	if n.Nlink == 0 {
		return nil // so is its record
	}
	record, err := w.Index.Inode(n.Record)
	if err != nil || !record.Vague {
		return err
	}
	return w.countLinks(ctx, n.Record)
}

// countLinks asks for the record of a group. Nobody writes it before.
func (w *Writeback) countLinks(ctx context.Context, ino index.Ino) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	record, err := w.Index.Inode(ino)
	if err != nil {
		return err
	}
	key := w.Layout.Records().Link(record.Link)
	head, err := w.Bucket.Head(ctx, key)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	found := err == nil
	attr, _, _ := layout.Decode(head, false, w.Defaults)
	return w.Index.Update(func(tx *index.Tx) error {
		record, err := tx.Inode(ino)
		if err != nil || !record.Vague || record.Nlink == 0 {
			return err
		}
		record.Vague = false
		if found {
			record.Placed, record.PlacedGen = key, attr.LinkGen
			k := index.Key{Key: key, ETag: head.ETag, LastModified: head.LastModified, Size: head.Size, Owner: ino}
			if err := tx.PutKey(k); err != nil {
				return err
			}
		}
		if err := tx.PutInode(record); err != nil {
			return err
		}
		n, err := tx.Inode(record.Of)
		if err != nil {
			return err
		}
		if found && n.Ctime.Before(attr.Ctime) {
			n.Ctime = attr.Ctime
		}
		return errors.Join(tx.PutInode(n), counted(tx, n.Ino, attr.Links))
	})
}

// Join makes an inode, of which only now is known that its object is one of several names
// of a file, that file or one of its names. It is called inside index.Update; what it
// returns, which may be nil, after the commit.
func (w *Writeback) Join(tx *index.Tx, n index.Inode, k index.Key, obj objstore.Object, attr layout.Attr) (after func(), err error) {
	if _, err := tx.Group(attr.Link); errors.Is(err, index.ErrNotFound) {
		k.Owner = n.Ino
		return nil, errors.Join(tx.PutKey(k), beginGroup(tx, n, k, obj, attr))
	}
	names, err := tx.Names(n.Ino)
	if err != nil || len(names) != 1 {
		return nil, err
	}
	if later, err := w.mustWait(tx, attr); err != nil || later {
		return nil, err
	}
	at := names[0]
	n.Nlink, n.Placed, n.Vague = 0, "", false
	if err := tx.PutInode(n); err != nil {
		return nil, err
	}
	joined, err := w.importLink(tx, at.Parent, at.Name, k, obj, attr)
	return func() {
		w.Files.EntryChanged(at.Parent, at.Name)
		if joined != nil {
			joined()
		}
	}, err
}

// updated handles an object of a member that changed. One that says to be of the group
// still, with a content that is newer or the same, is the work of another host: the
// inode takes it over. Any other is a file of its own from now on.
func (w *Writeback) updated(tx *index.Tx, m index.Inode, k index.Key, same bool, obj objstore.Object, attr layout.Attr) (after func(), err error) {
	if attr.Link != m.Link || !same && attr.LinkGen <= m.PlacedGen {
		return w.dissolve(tx, m, k, obj, attr)
	}
	n, err := tx.Inode(m.Of)
	if err != nil {
		return nil, err
	}
	if err := tx.PutKey(k); err != nil {
		return nil, err
	}
	if same {
		SetAttr(&n, attr)
		return func() { w.Files.Replaced(n.Ino, 0) }, tx.PutInode(n)
	}
	if attr.LinkGen > n.PlacedGen {
		return w.newer(tx, n, m, obj, attr)
	}
	m.PlacedGen = attr.LinkGen
	return nil, tx.PutInode(m)
}

// dissolve makes a name of a file one of a file of its own: another client changed the
// object there.
func (w *Writeback) dissolve(tx *index.Tx, m index.Inode, k index.Key, obj objstore.Object, attr layout.Attr) (after func(), err error) {
	names, err := tx.Names(m.Ino)
	if err != nil || len(names) != 1 {
		return nil, err
	}
	at := names[0]
	if err := w.withdraw(tx, m, k.Key); err != nil {
		return nil, err
	}
	return func() {
		w.Files.EntryChanged(at.Parent, at.Name)
		w.Files.Replaced(m.Of, 0)
	}, w.importAlone(tx, at.Parent, at.Name, k, obj, attr)
}

// withdraw ends a member whose object is gone or another's. Its name is the caller's.
func (w *Writeback) withdraw(tx *index.Tx, m index.Inode, key string) error {
	if m.Placed == key {
		m.Placed = ""
	}
	if m.Sending == key {
		m.Sending = ""
	}
	if err := errors.Join(tx.PutInode(m), rehome(tx, m, key)); err != nil {
		return err
	}
	n, err := w.Leave(tx, m)
	if err == nil && n.Nlink > 0 {
		w.Dirty(n.Ino, 0)
		err = tx.SetDirty(n.Ino)
	}
	return errors.Join(err, tx.PutInode(n))
}

// bereftMember handles a member whose object another client removed or replaced. With
// changes of ours on their way it is written again, or if it is all that there was of the
// file. Otherwise the name is gone.
func (w *Writeback) bereftMember(tx *index.Tx, m index.Inode, key string) (after func(), err error) {
	whole, err := tx.Inode(m.Of)
	if errors.Is(err, index.ErrNotFound) || err == nil && m.Nlink == 0 {
		m.Placed = ""
		return nil, errors.Join(rehome(tx, m, key), keep(tx, m))
	}
	if err != nil {
		return nil, err
	}
	c, err := tx.Content(whole.Ino)
	if err != nil {
		return nil, err
	}
	changed := m.Gen > m.PlacedGen || m.AttrGen > m.PlacedAttrGen
	m.Placed, m.PlacedGen, m.PlacedAttrGen = "", 0, 0
	if err := errors.Join(tx.PutInode(m), rehome(tx, m, key)); err != nil {
		return nil, err
	}
	if whole, err = tx.Inode(m.Of); err != nil {
		return nil, err
	}
	local := isRegular(whole) && c.Resident.Covers(0, min(c.BaseLen, whole.Size))
	switch {
	case m.IsRecord(), changed && whole.Placed != "":
	case whole.Placed == "" && (whole.Gen > whole.PlacedGen || local || !isRegular(whole)):
		whole.Gen = max(whole.Gen, whole.PlacedGen+1)
		err = tx.PutInode(whole)
		if isRegular(whole) {
			err = errors.Join(err, w.withoutBase(tx, whole))
		}
	default:
		return w.lost(tx, m, key)
	}
	w.Dirty(m.Ino, 0)
	return nil, errors.Join(err, tx.SetDirty(m.Ino))
}

// lost takes the name from a member whose object another client removed.
func (w *Writeback) lost(tx *index.Tx, m index.Inode, key string) (after func(), err error) {
	names, err := tx.Names(m.Ino)
	if err != nil {
		return nil, err
	}
	for _, at := range names {
		err = errors.Join(err, tx.Remove(at.Parent, at.Name))
	}
	w.Log.Warn("an object was removed by another client", "key", key)
	return func() {
		for _, at := range names {
			w.Files.EntryChanged(at.Parent, at.Name)
		}
		w.Files.Replaced(m.Of, 0)
	}, errors.Join(err, w.withdraw(tx, m, key))
}
