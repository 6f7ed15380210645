package index

import (
	"bytes"
	"sync"
)

const (
	// seenLeast and seenMost are the sizes, in bytes, of the encodings that are worth
	// remembering and that may be.
	seenLeast = 256
	seenMost  = 64 << 10
	// seenFiles is how many are remembered.
	seenFiles = 4
)

// seen are the last contents that consisted of many ranges: who reads a file here and there
// asks for its content several times for each range that he adds to it. What is remembered
// is used only where the index still has the very encoding that it stands for.
type seen struct {
	mu sync.Mutex // protects what follows; a leaf
	of map[Ino]decoded
}

type decoded struct {
	from []byte
	Content
}

// content decodes the content of an inode.
func (s *seen) content(ino Ino, b []byte) (Content, error) {
	if len(b) < seenLeast || len(b) > seenMost {
		return decodeContent(b)
	}
	if c, ok := s.find(ino, b); ok {
		return c, nil
	}
	c, err := decodeContent(b)
	if err != nil {
		return c, err
	}
	return s.keep(ino, bytes.Clone(b), c), nil
}

func (s *seen) find(ino Ino, b []byte) (Content, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.of[ino]
	return d.Content, bytes.Equal(d.from, b)
}

// keep remembers a content with its encoding and returns it. Neither may change any more,
// but for the sets of what is returned.
func (s *seen) keep(ino Ino, from []byte, c Content) Content {
	c.Resident, c.Holes, c.Same = c.Resident.Frozen(), c.Holes.Frozen(), c.Same.Frozen()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[Ino]decoded, seenFiles)
	}
	if _, known := s.of[ino]; !known && len(s.of) >= seenFiles {
		for other := range s.of {
			delete(s.of, other)
			break
		}
	}
	s.of[ino] = decoded{from, c}
	return c
}

// wrote remembers what is written; the caller may go on to change the content.
func (s *seen) wrote(ino Ino, b []byte, c Content) {
	if len(b) < seenLeast || len(b) > seenMost {
		return
	}
	c.Resident, c.Holes, c.Same = c.Resident.Clone(), c.Holes.Clone(), c.Same.Clone()
	s.keep(ino, b, c)
}
