package index

import "encoding/binary"

// Sums are the sums of what the object of a generation of an inode holds, in order, one
// after the other; what they are of is the caller's affair.
type Sums struct {
	Gen  uint64
	Size int64 // of the object, in bytes
	Sums []byte
}

const sumsVersion = 1

func appendSums(b []byte, s Sums) []byte {
	b = binary.AppendUvarint(append(b, sumsVersion), s.Gen)
	return append(binary.AppendVarint(b, s.Size), s.Sums...)
}

func decodeSums(b []byte) (Sums, error) {
	d := decode(b, sumsVersion)
	s := Sums{Gen: d.uvarint(), Size: d.varint()}
	s.Sums = []byte(d.rest())
	return s, d.done()
}

// Sums returns the sums of an inode's object, ErrNotFound if none are known.
func (r reader) Sums(ino Ino) (Sums, error) { return load(r, inoKey(tagSums, ino), decodeSums) }

// PutSums records the sums of an inode's object.
func (tx *Tx) PutSums(ino Ino, s Sums) error { return tx.put(inoKey(tagSums, ino), appendSums(nil, s)) }
