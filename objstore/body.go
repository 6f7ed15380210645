package objstore

import (
	"bytes"
	"io"
)

// Bytes is a Body in memory.
type Bytes []byte

// Size returns the number of bytes.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Open returns a reader over the bytes.
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Section is a Body that is a range of a file, read as it is sent.
type Section struct {
	R      io.ReaderAt
	Offset int64 // bytes
	Length int64 // bytes
}

// Size returns the length of the range in bytes.
func (s Section) Size() int64 { return s.Length }

// Open returns a reader over the range.
func (s Section) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.R, s.Offset, s.Length)), nil
}
