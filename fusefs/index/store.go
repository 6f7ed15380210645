package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// store is what was committed: Pebble, with the records that were used last before it.
type store struct {
	db     *pebble.DB
	recent *recent
	number uint32 // of the index, within recent
}

var _ source = (*store)(nil)

func (s *store) get(key []byte) ([]byte, error) {
	value, known, changes := s.recent.get(s.number, key)
	if !known {
		var err error
		if value, err = s.read(key); err != nil {
			return nil, err
		}
		s.recent.put(s.number, key, value, changes)
	}
	if value == nil {
		return nil, ErrNotFound
	}
	return value, nil
}

// read reads a record from Pebble, nil if there is none.
func (s *store) read(key []byte) ([]byte, error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("index: read %q: %w", key, err)
	}
	value := append(make([]byte, 0, len(b)), b...)
	if err := closer.Close(); err != nil {
		return nil, fmt.Errorf("index: read %q: %w", key, err)
	}
	return value, nil
}

func (s *store) iterate(lower, upper []byte) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// names keeps the names of an inode under what their records' keys begin with, which is
// the key of no record.
func (s *store) names(ino Ino) ([]Name, error) {
	key := inoKey(tagBack, ino)
	value, known, changes := s.recent.get(s.number, key)
	if known {
		return decodeNames(value)
	}
	names, err := walkNames(s, ino)
	if err == nil {
		s.recent.put(s.number, key, appendNames(nil, names), changes)
	}
	return names, err
}

// walkNames reads the names of an inode from their records.
func walkNames(from source, ino Ino) ([]Name, error) {
	var names []Name
	err := reader{from: from}.walk(inoKey(tagBack, ino), inoKey(tagBack, ino+1), func(key, _ []byte) (bool, error) {
		if len(key) < 17 {
			return false, errMalformed
		}
		names = append(names, Name{Parent: inoAt(key, 9), Name: string(key[17:])})
		return true, nil
	})
	return names, err
}

func appendNames(b []byte, names []Name) []byte {
	for _, n := range names {
		b = appendString(binary.AppendUvarint(b, uint64(n.Parent)), n.Name)
	}
	return b
}

func decodeNames(b []byte) ([]Name, error) {
	if len(b) == 0 {
		return nil, nil
	}
	names := make([]Name, 0, 1)
	d := decoder{b: b}
	for len(d.b) > 0 {
		names = append(names, Name{Parent: Ino(d.uvarint()), Name: d.string()})
	}
	return names, d.done()
}

// compareNames orders names as their records are.
func compareNames(a, b Name) int {
	if a.Parent != b.Parent {
		if a.Parent < b.Parent {
			return -1
		}
		return 1
	}
	return bytes.Compare([]byte(a.Name), []byte(b.Name))
}
