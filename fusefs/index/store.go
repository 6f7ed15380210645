package index

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// store is what was committed: Pebble, with the records that were used last before it.
type store struct {
	db     *pebble.DB
	recent *recent
	number uint32 // of the index, within recent

	dirty, doomed queue
}

func (s *store) get(key []byte) ([]byte, error) {
	value, known, changes := s.recent.get(s.number, key)
	if !known {
		var err error
		if value, err = s.read(bytes.Clone(key)); err != nil {
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

// list keeps a list under what the keys of its records begin with, which is the key of no
// record.
func (s *store) list(tag byte, ino Ino) ([]string, error) {
	key := inoKey(tag, ino)
	value, known, changes := s.recent.get(s.number, key)
	if known {
		return decodeList(value)
	}
	list, err := walkList(reader{store: s}, tag, ino, math.MaxInt)
	if err == nil {
		s.recent.put(s.number, key, appendList(nil, list), changes)
	}
	return list, err
}

// listMost is how many there are in a list, at most, that is changed in memory.
const listMost = 64

// short returns a list unless it is long.
func (s *store) short(tag byte, ino Ino) (list []string, ok bool, err error) {
	value, known, _ := s.recent.get(s.number, inoKey(tag, ino))
	if known {
		list, err = decodeList(value)
	} else {
		list, err = walkList(reader{store: s}, tag, ino, listMost)
	}
	return list, len(list) < listMost, err
}

// walkList reads a list from its records, at most so many.
func walkList(r reader, tag byte, ino Ino, most int) ([]string, error) {
	var list []string
	err := r.walk(inoKey(tag, ino), inoKey(tag, ino+1), func(key, _ []byte) (bool, error) {
		list = append(list, string(key[9:]))
		return len(list) < most, nil
	})
	return list, err
}

func appendList(b []byte, list []string) []byte {
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func decodeList(b []byte) ([]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	list := make([]string, 0, 1)
	d := decoder{b: b}
	for len(d.b) > 0 {
		list = append(list, d.string())
	}
	return list, d.done()
}
