package index

import (
	"encoding/binary"
	"errors"
)

// Subdirs returns how many of a directory's names are directories.
func (r reader) Subdirs(dir Ino) (uint64, error) {
	n, err := load(r, inoKey(tagSubdirs, dir), decodeNumber)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// countName adjusts a directory's count for a name of ino that came or went. Names whose
// inode is not a directory, or not in the index, do not count.
func (tx *Tx) countName(parent, ino Ino, came bool) error {
	n, err := tx.Inode(ino)
	if errors.Is(err, ErrNotFound) || err == nil && n.Dir == nil {
		return nil
	}
	if err != nil {
		return err
	}
	count, err := tx.Subdirs(parent)
	if err != nil {
		return err
	}
	if came {
		count++
	} else if count > 0 {
		count--
	}
	return tx.put(inoKey(tagSubdirs, parent), binary.AppendUvarint(nil, count))
}

// countSubdirs counts in an index of the first schema, which has no counts.
func (x *Index) countSubdirs() error {
	counts := make(map[Ino]uint64)
	err := x.walk([]byte{tagOrder}, []byte{tagOrder + 1}, func(key, value []byte) (bool, error) {
		d, err := decodeOrder(numberAt(key, 9), value)
		if err != nil {
			return false, err
		}
		n, err := x.Inode(d.Ino)
		if err == nil && n.Dir != nil {
			counts[inoAt(key, 1)]++
		}
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	batch := x.db.NewBatch()
	for ino, n := range counts {
		if err := batch.Set(inoKey(tagSubdirs, ino), binary.AppendUvarint(nil, n), nil); err != nil {
			return err
		}
	}
	if err := batch.Set(schemaKey, binary.AppendUvarint(nil, schema), nil); err != nil {
		return err
	}
	return x.commit(batch)
}
