package extent

import (
	"encoding/binary"
	"errors"
	"math"
)

// errMalformed is what Decode answers when its input is no encoded set.
var errMalformed = errors.New("extent: malformed set")

// AppendBinary appends the set's encoding to b: the number of ranges, then of each its
// distance from the end of the one before and its length, all as unsigned varints. The
// encoding says where it ends, so more may follow it.
func (s Set) AppendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.ranges)))
	var end int64
	for _, r := range s.ranges {
		b = binary.AppendUvarint(b, uint64(r.Off-end))
		b = binary.AppendUvarint(b, uint64(r.Len()))
		end = r.End
	}
	return b
}

// Decode reads a set from the front of b and returns it with what follows. It accepts the
// normal form only, so what it returns is a sound set whatever b was.
func Decode(b []byte) (s Set, rest []byte, err error) {
	count, b, ok := uvarint(b)
	// A range takes two bytes at least: nothing is allocated for ranges that cannot be.
	if !ok || count > uint64(len(b)/2) {
		return Set{}, nil, errMalformed
	}
	if count == 0 {
		return Set{}, b, nil
	}
	s.ranges = make([]Range, count)
	var end uint64
	for i := range s.ranges {
		var gap, n uint64
		if gap, b, ok = uvarint(b); !ok || gap > math.MaxInt64-end || (gap == 0 && i > 0) {
			return Set{}, nil, errMalformed
		}
		off := end + gap
		if n, b, ok = uvarint(b); !ok || n == 0 || n > math.MaxInt64-off {
			return Set{}, nil, errMalformed
		}
		end = off + n
		s.ranges[i] = Range{Off: int64(off), End: int64(end)}
	}
	return s, b, nil
}

func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
