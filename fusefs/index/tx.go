package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Tx is one transaction. It belongs to the function it was given to and to that function's
// goroutine.
type Tx struct {
	reader
	batch *pebble.Batch
	index *Index
	err   error // the first that a method without an error met: it discards the transaction
}

func (tx *Tx) put(key, value []byte) error {
	if err := tx.batch.Set(key, value, nil); err != nil {
		return fmt.Errorf("index: write %q: %w", key, err)
	}
	return nil
}

func (tx *Tx) drop(key []byte) error {
	if err := tx.batch.Delete(key, nil); err != nil {
		return fmt.Errorf("index: delete %q: %w", key, err)
	}
	return nil
}

// number gives out the next number of the index's counter.
func (tx *Tx) number() uint64 {
	n, err := tx.index.number()
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return n
}

// NewIno gives out an inode number that was never given out before, whether or not this
// transaction is kept. If none can be had, the transaction fails at its end.
func (tx *Tx) NewIno() Ino { return Ino(tx.number()) }

// PutInode stores an inode. It is an orphan if its Nlink is 0. Of a member only what is its
// own is stored.
func (tx *Tx) PutInode(n Inode) error {
	if err := tx.group(&n); err != nil {
		return err
	}
	if err := tx.put(inoKey(tagInode, n.Ino), appendInode(nil, &n)); err != nil {
		return err
	}
	orphan := inoKey(tagOrphan, n.Ino)
	was, err := tx.has(orphan)
	switch {
	case err != nil || was == (n.Nlink == 0):
		return err
	case was:
		return tx.drop(orphan)
	default:
		return tx.put(orphan, nil)
	}
}

// DeleteInode deletes an inode and the records of its content. Its names and its place in
// the queues are the caller's to remove.
func (tx *Tx) DeleteInode(ino Ino) error {
	return errors.Join(
		tx.Ungroup(ino),
		tx.drop(inoKey(tagInode, ino)),
		tx.drop(inoKey(tagContent, ino)),
		tx.drop(inoKey(tagPassed, ino)),
		tx.drop(inoKey(tagSums, ino)),
		tx.drop(inoKey(tagSubdirs, ino)),
		tx.drop(inoKey(tagOrphan, ino)))
}

// Enter makes name in parent stand for ino, which is in the index already. A new name comes last in the directory. One
// that was there keeps its cookie, so that a reader of the directory sees it exactly once
// whatever is renamed over it.
func (tx *Tx) Enter(parent Ino, name string, ino Ino) error {
	key := entryKey(parent, name)
	e, err := load(tx.reader, key, decodeEntry)
	switch {
	case err == nil && e.ino == ino:
		return nil
	case err == nil:
		err = errors.Join(tx.drop(backKey(e.ino, parent, name)), tx.countName(parent, e.ino, false))
	case errors.Is(err, ErrNotFound):
		// The counter begins at 2.
		e.cookie, err = tx.number()+1, nil
	}
	if err != nil {
		return err
	}
	e.ino = ino
	return errors.Join(
		tx.put(key, appendEntry(nil, e)),
		tx.put(orderKey(parent, e.cookie), appendOrder(nil, ino, name)),
		tx.put(backKey(ino, parent, name), nil),
		tx.countName(parent, ino, true))
}

// Remove takes a name out of a directory, ErrNotFound if it has no such name.
func (tx *Tx) Remove(parent Ino, name string) error {
	key := entryKey(parent, name)
	e, err := load(tx.reader, key, decodeEntry)
	if err != nil {
		return err
	}
	return errors.Join(
		tx.drop(key),
		tx.drop(orderKey(parent, e.cookie)),
		tx.drop(backKey(e.ino, parent, name)),
		tx.countName(parent, e.ino, false))
}

// PutContent records where the bytes of a file are.
func (tx *Tx) PutContent(ino Ino, c Content) error {
	b := appendContent(nil, &c)
	tx.seen.wrote(ino, b, c)
	return tx.put(inoKey(tagContent, ino), b)
}

// PutKey records what the bucket holds under a key.
func (tx *Tx) PutKey(k Key) error { return tx.put(textKey(tagKey, k.Key), appendKey(nil, &k)) }

// DeleteKey forgets a key.
func (tx *Tx) DeleteKey(key string) error { return tx.drop(textKey(tagKey, key)) }

// SetDirty queues an inode to be reconciled.
func (tx *Tx) SetDirty(ino Ino) error { return tx.put(inoKey(tagDirty, ino), nil) }

// ClearDirty takes an inode out of that queue.
func (tx *Tx) ClearDirty(ino Ino) error { return tx.drop(inoKey(tagDirty, ino)) }

// Doom queues a key to be deleted.
func (tx *Tx) Doom(key string) error { return tx.put(textKey(tagDoomed, key), nil) }

// Spare takes a key out of that queue.
func (tx *Tx) Spare(key string) error { return tx.drop(textKey(tagDoomed, key)) }

// QueueSubtree queues a directory whose whole subtree moved.
func (tx *Tx) QueueSubtree(ino Ino) error { return tx.put(inoKey(tagSubtree, ino), nil) }

// UnqueueSubtree takes a directory out of that queue.
func (tx *Tx) UnqueueSubtree(ino Ino) error { return tx.drop(inoKey(tagSubtree, ino)) }

// PutUpload records a multipart upload that was begun.
func (tx *Tx) PutUpload(u Upload) error { return tx.put(textKey(tagUpload, u.ID), []byte(u.Key)) }

// DropUpload forgets one that is over.
func (tx *Tx) DropUpload(id string) error { return tx.drop(textKey(tagUpload, id)) }

// PutMeta stores a value of the caller's under a name of the caller's.
func (tx *Tx) PutMeta(name string, value []byte) error {
	return tx.put(textKey(tagMeta, name), value)
}
