package writeback

import (
	"errors"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// landed records that a write is in the bucket.
func (w *Writeback) landed(j *job, obj objstore.Object, size int64, gen uint64) error {
	var after func()
	err := w.Index.Update(func(tx *index.Tx) error {
		var err error
		after, err = w.place(tx, placement{
			ino: j.Ino, key: j.Key, etag: obj.ETag, modified: obj.LastModified,
			size: size, gen: gen, attrGen: attrGenOf(j.nonce), early: isEarly(j.nonce), foreign: j.foreign,
		})
		j.free(w)
		if err != nil {
			return err
		}
		j.settled, err = w.settles(tx, j.task)
		return err
	})
	if err != nil {
		j.settled = false
		return err
	}
	j.placed = true
	after()
	return nil
}

// settles takes a task out of the queue in the transaction that records its last step, if
// nothing is left to do: most often it is so, and needs no other look.
func (w *Writeback) settles(tx *index.Tx, t task) (bool, error) {
	step, err := w.planner(tx).plan(t)
	if err != nil || step.Action != Nothing {
		return false, err
	}
	return true, w.sentAll(tx, t.ino)
}

// placement is what the bucket was found, or made, to hold of an inode.
type placement struct {
	ino      index.Ino
	key      string
	etag     string
	modified time.Time
	size     int64
	gen      uint64
	attrGen  uint64
	early    bool // its attributes may be older than its content
	foreign  index.Foreign
}

// place records a placement: the key's new state, the inode's, and that its former key
// is nobody's. What it returns is called after the commit.
func (w *Writeback) place(tx *index.Tx, p placement) (after func(), err error) {
	n, err := placed(tx, p)
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		return nil, err
	}
	k, _, kerr := tx.Key(p.key)
	if kerr != nil {
		return nil, kerr
	}
	if k.Owner != n.Ino {
		if err := evicted(tx, k); err != nil {
			return nil, err
		}
	}
	k = index.Key{Key: p.key, ETag: p.etag, LastModified: p.modified, Size: p.size, Foreign: p.foreign, At: k.At}
	if errors.Is(err, index.ErrNotFound) {
		// Unlinked and forgotten meanwhile: what landed is nobody's.
		w.Doomed(p.key)
		return func() {}, errors.Join(tx.PutKey(k), tx.Doom(p.key))
	}
	k.Owner = n.Ino
	old, oldGen := n.Placed, n.PlacedGen
	if old != "" && old != p.key {
		if err := w.abandon(tx, old, n.Ino); err != nil {
			return nil, err
		}
	}
	n.Placed, n.PlacedGen, n.PlacedAttrGen, n.Sending = p.key, p.gen, max(n.PlacedAttrGen, p.attrGen), ""
	if p.early {
		// Its times, at least, are yet to be set.
		n.PlacedAttrGen, n.AttrGen = p.attrGen, max(n.AttrGen, p.attrGen+1)
		if err := tx.SetDirty(n.Ino); err != nil {
			return nil, err
		}
	}
	err = errors.Join(tx.PutInode(n), tx.PutKey(k), tx.Spare(p.key), atHome(tx, n, old))
	if n.Nlink == 0 {
		w.Doomed(p.key)
		err = errors.Join(err, tx.Doom(p.key))
	}
	if isRegular(n) && !n.IsRecord() {
		err = errors.Join(err, sent(tx, n, oldGen))
	}
	return func() { w.Files.Landed(n.Whole()) }, err
}

// sent records for an inode's content what its object holds since it was placed. Before,
// the object was of another generation.
func sent(tx *index.Tx, n index.Inode, before uint64) error {
	c, err := tx.Content(n.Whole())
	if err != nil {
		return err
	}
	if n.Gen == n.PlacedGen {
		c.Sent(n.Gen, n.Size)
	} else {
		c.Overtaken(before, n.PlacedGen)
	}
	return tx.PutContent(n.Whole(), c)
}

// placed returns the inode, or the member of it, that a placement is of.
func placed(tx *index.Tx, p placement) (index.Inode, error) {
	n, err := tx.Inode(p.ino)
	if err != nil || !n.HasMembers() {
		return n, err
	}
	return memberAt(tx, n, p.key)
}

// evicted records that a key's owner, which is unlinked, has no object any more.
func evicted(tx *index.Tx, k index.Key) error {
	n, err := tx.Inode(k.Owner)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Placed != k.Key {
		return nil
	}
	if err != nil {
		return err
	}
	n.Placed = ""
	return errors.Join(rehome(tx, n, k.Key), keep(tx, n))
}

// abandon dooms the key that an inode has left.
func (w *Writeback) abandon(tx *index.Tx, key string, ino index.Ino) error {
	k, ok, err := tx.Key(key)
	if err != nil || !ok || k.Owner != ino {
		return err
	}
	k.Owner, k.Foreign = 0, index.Foreign{}
	w.sched.add(keyTask(key), time.Now())
	return errors.Join(tx.PutKey(k), tx.Doom(key))
}
