package index

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Tx is one transaction. It belongs to the function it was given to and to that function's
// goroutine.
type Tx struct {
	reader
	index *Index
	// batch has all writes in their order. It can be walked only if it is indexed, which
	// makes every write dearer: it is from the first walk on that needs it.
	batch   *pebble.Batch
	indexed bool
	// written are the records that were written, byKey where they are if they are many, and
	// listed the lists that changed.
	written []written
	byKey   map[string]int
	listed  map[listed]list
	// first and last are the inode numbers that were given out here, 0 for none: of those
	// from the first to the last nothing was recorded before.
	first, last Ino
	// many: EnterNew was used, whose names are not in listed.
	many bool
	// times is how many writes of the batch are only of times.
	times uint32
	err   error // the first that a method without an error met: it discards the transaction
}

// listed are an inode's names or its members.
type listed struct {
	tag byte
	ino Ino
}

// list is one of them. Of a long one only the records are changed.
type list struct {
	all  []string
	long bool
}

// written is a record that a transaction has written.
type written struct {
	key   []byte
	value []byte // nil if it was dropped
	keep  bool   // it is likely to be read soon
}

func newTx(x *Index) *Tx {
	tx := &Tx{index: x, batch: x.db.NewBatch(), written: x.written[:0]}
	tx.reader = reader{x.store, (*overlay)(tx), x.seen}
	return tx
}

// done lets the next transaction have the room of this one.
func (tx *Tx) done() {
	clear(tx.written)
	if cap(tx.written) <= 2*writtenFew {
		tx.index.written = tx.written
	}
}

// writtenFew is how many writes are looked through one by one: for one of them, and to find
// out that a walk meets none of them.
const writtenFew = 24

// find returns where a record is in written.
func (tx *Tx) find(key []byte) (int, bool) {
	if tx.byKey != nil {
		i, ok := tx.byKey[string(key)]
		return i, ok
	}
	for i := range tx.written {
		if bytes.Equal(tx.written[i].key, key) {
			return i, true
		}
	}
	return 0, false
}

// note puts a record into written.
func (tx *Tx) note(w written) {
	if i, ok := tx.find(w.key); ok {
		tx.written[i] = w
		return
	}
	tx.written = append(tx.written, w)
	switch {
	case tx.byKey != nil:
		tx.byKey[string(w.key)] = len(tx.written) - 1
	case len(tx.written) > writtenFew:
		tx.byKey = make(map[string]int, 4*writtenFew)
		for i, w := range tx.written {
			tx.byKey[string(w.key)] = i
		}
	}
}

// overlay is a transaction as what it reads from: what was committed, with its own writes.
type overlay Tx

func (o *overlay) get(key []byte) ([]byte, error) {
	if i, ok := (*Tx)(o).find(key); ok {
		if o.written[i].value == nil {
			return nil, ErrNotFound
		}
		return o.written[i].value, nil
	}
	if o.isFresh(key) {
		return nil, ErrNotFound
	}
	return o.store.get(key)
}

// isFresh tells whether a key is that of a record of an inode that was numbered in this
// transaction.
func (o *overlay) isFresh(key []byte) bool {
	switch key[0] {
	case tagInode, tagContent, tagDirty, tagSums, tagPassed, tagSubdirs, tagOrphan, tagEntry, tagBack:
		return o.isNew(inoAt(key, 1))
	}
	return false
}

func (o *overlay) isNew(ino Ino) bool { return o.first != 0 && ino >= o.first && ino <= o.last }

func (o *overlay) iterate(lower, upper []byte) (*pebble.Iterator, error) {
	if !o.indexed && !o.meets(lower, upper) {
		return o.store.iterate(lower, upper)
	}
	if !o.indexed {
		all := o.index.db.NewIndexedBatch()
		if err := all.Apply(o.batch, nil); err != nil {
			return nil, err
		}
		_ = o.batch.Close() // it only frees memory
		o.batch, o.indexed = all, true
	}
	return o.batch.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// meets tells whether a walk may meet what was written.
func (o *overlay) meets(lower, upper []byte) bool {
	if o.byKey != nil {
		return true
	}
	return slices.ContainsFunc(o.written, func(w written) bool {
		return bytes.Compare(w.key, lower) >= 0 && (upper == nil || bytes.Compare(w.key, upper) < 0)
	})
}

func (o *overlay) list(tag byte, ino Ino) ([]string, error) {
	l, changed := o.listed[listed{tag, ino}]
	switch {
	case changed && !l.long:
		return l.all, nil
	case changed, o.isNew(ino) && o.many:
		return walkList(o.reader, tag, ino, math.MaxInt)
	case o.isNew(ino):
		return nil, nil
	}
	return o.store.list(tag, ino)
}

// begin announces what is about to be committed, and end what was.
func (tx *Tx) begin() {
	s := tx.store
	for _, w := range tx.written {
		if isRead(w.key[0]) {
			s.recent.begin(s.number, w.key)
		}
		if q := s.queue(w.key[0]); q != nil {
			q.begin()
		}
	}
	for l := range tx.listed {
		s.recent.begin(s.number, inoKey(l.tag, l.ino))
	}
}

func (tx *Tx) end(committed bool) {
	s := tx.store
	for _, w := range tx.written {
		if isRead(w.key[0]) {
			s.recent.end(s.number, w.key, w.value, committed && w.keep)
		}
		if q := s.queue(w.key[0]); q != nil {
			q.end(string(w.key[1:]), w.value != nil, committed)
		}
	}
	for l, list := range tx.listed {
		s.recent.end(s.number, inoKey(l.tag, l.ino), appendList(nil, list.all), committed && !list.long)
	}
	if committed && tx.first != 0 && tx.first == tx.last {
		// Of an inode alone it is known, too, what there is not.
		for _, tag := range []byte{tagContent, tagOrphan, tagSubdirs} {
			key := inoKey(tag, tx.first)
			if _, ok := tx.find(key); !ok {
				s.recent.note(s.number, key, nil)
			}
		}
	}
}

// put writes a record. It keeps the value.
func (tx *Tx) put(key, value []byte) error { return tx.write(key, value, isKept(key[0])) }

// isRead tells what is read one by one: the others are walked, or read as a list.
func isRead(tag byte) bool { return tag != tagOrder && tag != tagBack && tag != tagMember }

// isKept tells what is read again soon after it was written.
func isKept(tag byte) bool {
	switch tag {
	case tagInode, tagContent, tagDirty, tagEntry, tagSubdirs:
		return true
	}
	return false
}

func (tx *Tx) write(key, value []byte, keep bool) error {
	if err := tx.batch.Set(key, value, nil); err != nil {
		return fmt.Errorf("index: write %q: %w", key, err)
	}
	if value == nil {
		value = []byte{}
	}
	tx.note(written{key, value, keep})
	return nil
}

func (tx *Tx) drop(key []byte) error {
	if err := tx.batch.Delete(key, nil); err != nil {
		return fmt.Errorf("index: delete %q: %w", key, err)
	}
	tx.note(written{key, nil, isKept(key[0])})
	return nil
}

// clear drops a record that may not be there. Where that is known, nothing is written.
func (tx *Tx) clear(key []byte) error {
	if there, known := tx.isThere(key); known && !there {
		return nil
	}
	return tx.drop(key)
}

// mark writes a record without a value that may be there. Where that is known, nothing is
// written.
func (tx *Tx) mark(key []byte) error {
	if there, known := tx.isThere(key); known && there {
		return nil
	}
	return tx.put(key, nil)
}

// isThere tells whether there is a record, if that is known without asking Pebble.
func (tx *Tx) isThere(key []byte) (there, known bool) {
	if i, ok := tx.find(key); ok {
		return tx.written[i].value != nil, true
	}
	s := tx.store
	if q := s.queue(key[0]); q != nil {
		if there, known := q.has(string(key[1:])); known {
			return there, true
		}
	}
	value, known, _ := s.recent.get(s.number, key)
	return value != nil, known
}

// putListed writes a record that is one of a list, and dropListed deletes it.
func (tx *Tx) putListed(tag byte, ino Ino, key []byte) error {
	there := false
	err := tx.relist(tag, ino, func(all []string) []string {
		var i int
		if i, there = slices.BinarySearch(all, string(key[9:])); there {
			return all
		}
		return slices.Insert(all, i, string(key[9:]))
	})
	if there {
		return err
	}
	return errors.Join(err, tx.put(key, nil))
}

func (tx *Tx) dropListed(tag byte, ino Ino, key []byte) error {
	return errors.Join(tx.drop(key), tx.relist(tag, ino, func(all []string) []string {
		i, there := slices.BinarySearch(all, string(key[9:]))
		if !there {
			return all
		}
		return slices.Delete(all, i, i+1)
	}))
}

// relist changes a list in memory.
func (tx *Tx) relist(tag byte, ino Ino, change func(all []string) []string) error {
	l, known := tx.listed[listed{tag, ino}]
	switch {
	case known:
	case (*overlay)(tx).isNew(ino):
		l.long = tx.many // what EnterNew entered is not in it
	default:
		short, ok, err := tx.store.short(tag, ino)
		if err != nil {
			return err
		}
		l = list{slices.Clone(short), !ok}
	}
	if !l.long {
		l.all = change(l.all)
	}
	if l.long = l.long || len(l.all) >= listMost; l.long {
		l.all = nil
	}
	tx.relisted(listed{tag, ino}, l)
	return nil
}

// relisted notes what a list is after the transaction.
func (tx *Tx) relisted(at listed, l list) {
	if tx.listed == nil {
		tx.listed = make(map[listed]list)
	}
	tx.listed[at] = l
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
func (tx *Tx) NewIno() Ino {
	tx.last = Ino(tx.number())
	if tx.first == 0 {
		tx.first = tx.last
	}
	return tx.last
}

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

// PutTimes is PutInode for an inode of which only times have changed, which DataLasts
// leaves out.
func (tx *Tx) PutTimes(n Inode) error {
	before := tx.batch.Count()
	err := tx.PutInode(n)
	tx.times += tx.batch.Count() - before
	return err
}

// DeleteInode deletes an inode and the records of its content. Its names and its place in
// the queues are the caller's to remove.
func (tx *Tx) DeleteInode(ino Ino) error {
	n, err := tx.own(ino)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	err = errors.Join(tx.Ungroup(ino), tx.drop(inoKey(tagInode, ino)), tx.clear(inoKey(tagContent, ino)))
	if n.Nlink == 0 {
		err = errors.Join(err, tx.clear(inoKey(tagOrphan, ino)))
	}
	if n.Of != 0 {
		return err // what follows only its inode has
	}
	return errors.Join(err,
		tx.clear(inoKey(tagPassed, ino)),
		tx.clear(inoKey(tagSums, ino)),
		tx.clear(inoKey(tagSubdirs, ino)))
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
		err = errors.Join(tx.dropListed(tagBack, e.ino, backKey(e.ino, parent, name)), tx.countName(parent, e.ino, false))
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
		tx.putListed(tagBack, ino, backKey(ino, parent, name)),
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
		tx.dropListed(tagBack, e.ino, backKey(e.ino, parent, name)),
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
func (tx *Tx) SetDirty(ino Ino) error { return tx.mark(inoKey(tagDirty, ino)) }

// ClearDirty takes an inode out of that queue.
func (tx *Tx) ClearDirty(ino Ino) error { return tx.clear(inoKey(tagDirty, ino)) }

// Doom queues a key to be deleted.
func (tx *Tx) Doom(key string) error { return tx.mark(textKey(tagDoomed, key)) }

// Spare takes a key out of that queue.
func (tx *Tx) Spare(key string) error { return tx.clear(textKey(tagDoomed, key)) }

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
	return tx.put(textKey(tagMeta, name), slices.Clone(value))
}
