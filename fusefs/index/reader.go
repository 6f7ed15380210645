package index

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// ErrNotFound is answered for what the index does not hold.
var ErrNotFound = errors.New("not in the index")

// reader reads records; an Index does so from what was last committed, a Tx from that and
// its own writes. A walk sees the records as they were when it began, so the function it
// calls may write in the same Tx. The function ends the walk by returning false.
type reader struct {
	store *store
	over  *overlay // nil outside of a transaction
	seen  *seen
}

// get returns a record, which nobody changes. Errors: ErrNotFound. It is no interface's, so
// that the keys of what is read, which is most of what is done, need no memory.
func (r reader) get(key []byte) ([]byte, error) {
	if r.over != nil {
		return r.over.get(key)
	}
	return r.store.get(key)
}

// iterate walks the records in [lower, upper). The caller closes what it gets.
func (r reader) iterate(lower, upper []byte) (*pebble.Iterator, error) {
	if r.over != nil {
		return r.over.iterate(lower, upper)
	}
	return r.store.iterate(lower, upper)
}

// list returns what follows the inode in the keys of its records of a tag, ascending. Nobody
// changes it.
func (r reader) list(tag byte, ino Ino) ([]string, error) {
	if r.over != nil {
		return r.over.list(tag, ino)
	}
	return r.store.list(tag, ino)
}

// load reads the record at key.
func load[T any](r reader, key []byte, decode func([]byte) (T, error)) (T, error) {
	var none T
	b, err := r.get(key)
	if err != nil {
		return none, err
	}
	v, err := decode(b)
	if err != nil {
		return none, fmt.Errorf("index: read %q: %w", string(key), err)
	}
	return v, nil
}

// has tells whether there is a record at key.
func (r reader) has(key []byte) (bool, error) {
	_, err := r.get(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// walk gives fn every record in [lower, upper), ascending. The bytes are fn's only until
// it returns.
func (r reader) walk(lower, upper []byte, fn func(key, value []byte) (bool, error)) (err error) {
	it, err := r.iterate(lower, upper)
	if err != nil {
		return fmt.Errorf("index: walk from %q: %w", lower, err)
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("index: walk from %q: %w", lower, cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("index: walk at %q: %w", it.Key(), err)
		}
		more, err := fn(it.Key(), value)
		if err != nil {
			return fmt.Errorf("index: walk at %q: %w", it.Key(), err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// walkInos gives fn the inode of every key with the tag, ascending.
func (r reader) walkInos(tag byte, fn func(Ino) bool) error {
	return r.walk([]byte{tag}, []byte{tag + 1}, func(key, _ []byte) (bool, error) {
		return fn(inoAt(key, 1)), nil
	})
}

// Inode returns an inode, ErrNotFound if there is none of that number. A member comes with
// all that it shares.
func (r reader) Inode(ino Ino) (Inode, error) {
	n, err := r.own(ino)
	if err != nil || n.Of == 0 {
		return n, err
	}
	whole, err := r.own(n.Of)
	if errors.Is(err, ErrNotFound) {
		return n, nil // all of it is unlinked; the member waits for the end of its object
	}
	return n.sharing(whole), err
}

// own returns what is stored of an inode itself.
func (r reader) own(ino Ino) (Inode, error) {
	return load(r, inoKey(tagInode, ino), func(b []byte) (Inode, error) { return decodeInode(ino, b) })
}

// Lookup returns the inode of a name in a directory, ErrNotFound if it has no such name.
func (r reader) Lookup(parent Ino, name string) (Ino, error) {
	e, err := load(r, entryKey(parent, name), decodeEntry)
	return e.ino, err
}

// Entry returns a name in a directory, ErrNotFound if it has no such name.
func (r reader) Entry(parent Ino, name string) (Dirent, error) {
	e, err := load(r, entryKey(parent, name), decodeEntry)
	return Dirent{Cookie: e.cookie, Name: name, Ino: e.ino}, err
}

// DirentsByName walks the names of a directory that come after the given one, in the order
// of their bytes.
func (r reader) DirentsByName(parent Ino, after string, fn func(Dirent) bool) error {
	return r.walk(append(entryKey(parent, after), 0), inoKey(tagEntry, parent+1), func(key, value []byte) (bool, error) {
		e, err := decodeEntry(value)
		return err == nil && fn(Dirent{Cookie: e.cookie, Name: string(key[9:]), Ino: e.ino}), err
	})
}

// Dirents walks the names of a directory whose cookie is above the given one, in the order
// of their cookies. Cookies are at least 3: 0 begins, 1 and 2 are free for "." and "..".
func (r reader) Dirents(parent Ino, after uint64, fn func(Dirent) bool) error {
	if after == math.MaxUint64 {
		return nil
	}
	return r.walk(orderKey(parent, after+1), inoKey(tagOrder, parent+1), func(key, value []byte) (bool, error) {
		d, err := decodeOrder(numberAt(key, 9), value)
		return err == nil && fn(d), err
	})
}

// Empty tells whether a directory has no names.
func (r reader) Empty(parent Ino) (bool, error) {
	empty := true
	err := r.walk(inoKey(tagEntry, parent), inoKey(tagEntry, parent+1), func(_, _ []byte) (bool, error) {
		empty = false
		return false, nil
	})
	return empty, err
}

// Names returns every place where an inode is entered, ordered by parent and name; of one
// with members those of each of them.
func (r reader) Names(ino Ino) ([]Name, error) {
	names, err := r.ownNames(ino)
	if err != nil || len(names) > 0 {
		return names, err
	}
	n, err := r.own(ino)
	if errors.Is(err, ErrNotFound) || err == nil && !n.HasMembers() {
		return nil, nil
	}
	members, err := r.Members(ino)
	for _, m := range members {
		if err != nil {
			break
		}
		if m == n.Record {
			continue // it has none, ever
		}
		var more []Name
		more, err = r.ownNames(m)
		names = append(names, more...)
	}
	return names, err
}

func (r reader) ownNames(ino Ino) ([]Name, error) {
	list, err := r.list(tagBack, ino)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	names := make([]Name, len(list))
	for i, at := range list {
		if len(at) < 8 {
			return nil, fmt.Errorf("index: names of %d: %w", ino, errMalformed)
		}
		names[i] = Name{Parent: inoAt([]byte(at[:8]), 0), Name: at[8:]}
	}
	return names, nil
}

// Content returns where the bytes of a file are; the zero Content if nothing is recorded.
func (r reader) Content(ino Ino) (Content, error) {
	c, err := load(r, inoKey(tagContent, ino), func(b []byte) (Content, error) { return r.seen.content(ino, b) })
	if errors.Is(err, ErrNotFound) {
		return Content{}, nil
	}
	return c, err
}

// Contents walks all recorded contents, ascending by inode.
func (r reader) Contents(fn func(Ino, Content) bool) error {
	return r.walk([]byte{tagContent}, []byte{tagContent + 1}, func(key, value []byte) (bool, error) {
		c, err := decodeContent(value)
		return err == nil && fn(inoAt(key, 1), c), err
	})
}

// Key returns what the bucket holds under a key, false if nothing is known of it.
func (r reader) Key(key string) (Key, bool, error) {
	k, err := load(r, textKey(tagKey, key), func(b []byte) (Key, error) { return decodeKey(key, b) })
	if errors.Is(err, ErrNotFound) {
		return Key{}, false, nil
	}
	return k, err == nil, err
}

// Keys walks all known keys that begin with prefix, ascending by their bytes.
func (r reader) Keys(prefix string, fn func(Key) bool) error {
	from := textKey(tagKey, prefix)
	return r.walk(from, after(from), func(key, value []byte) (bool, error) {
		k, err := decodeKey(string(key[1:]), value)
		return err == nil && fn(k), err
	})
}

// Dirty walks the queue of inodes to reconcile, ascending.
func (r reader) Dirty(fn func(Ino) bool) error {
	return r.walkQueue(tagDirty, func(record []byte) bool { return fn(inoAt(record, 0)) })
}

// IsDirty tells whether an inode is queued to be reconciled.
func (r reader) IsDirty(ino Ino) (bool, error) { return r.has(inoKey(tagDirty, ino)) }

// Doomed walks the queue of keys to delete, ascending by their bytes.
func (r reader) Doomed(fn func(key string) bool) error {
	return r.walkQueue(tagDoomed, func(record []byte) bool { return fn(string(record)) })
}

// IsDoomed tells whether a key is queued to be deleted.
func (r reader) IsDoomed(key string) (bool, error) { return r.has(textKey(tagDoomed, key)) }

// Orphans walks the inodes without a name, ascending.
func (r reader) Orphans(fn func(Ino) bool) error { return r.walkInos(tagOrphan, fn) }

// Subtrees walks the queue of directories whose whole subtree moved, ascending.
func (r reader) Subtrees(fn func(Ino) bool) error { return r.walkInos(tagSubtree, fn) }

// Uploads walks the multipart uploads that are not known to be over.
func (r reader) Uploads(fn func(Upload) bool) error {
	return r.walk([]byte{tagUpload}, []byte{tagUpload + 1}, func(key, value []byte) (bool, error) {
		return fn(Upload{ID: string(key[1:]), Key: string(value)}), nil
	})
}

// Meta returns a value of the caller's, ErrNotFound if it was never put.
func (r reader) Meta(name string) ([]byte, error) {
	return load(r, textKey(tagMeta, name), func(b []byte) ([]byte, error) {
		return append([]byte{}, b...), nil
	})
}
