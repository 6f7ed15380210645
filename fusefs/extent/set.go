package extent

import (
	"math"
	"slices"
	"sort"
)

// Range is the bytes from Off up to, and without, End.
type Range struct {
	Off, End int64
}

// Len is the number of bytes in the range.
func (r Range) Len() int64 { return r.End - r.Off }

// Set is a set of bytes, held as ranges. The zero value is empty and ready for use. A copy
// made by assignment shares its ranges with the original and must not be used after
// either of them changed, unless it is of a set that is [Set.Frozen]: see [Set.Clone].
type Set struct {
	ranges []Range // ascending, none empty, no two touching
	frozen bool    // others have the ranges too
}

// Frozen returns the same set in a form of which every copy is one of its own: the first
// change to it copies the ranges. The set itself must not change any more.
func (s Set) Frozen() Set { return Set{ranges: s.ranges, frozen: true} }

// thaw is called before the ranges change.
func (s *Set) thaw() {
	if s.frozen {
		s.ranges, s.frozen = slices.Clone(s.ranges), false
	}
}

// span turns an offset and a length into a range. Nothing lies below 0 or beyond the
// largest offset, and a length below 1 is the empty range.
func span(off, n int64) Range {
	if n <= 0 {
		return Range{}
	}
	end := int64(math.MaxInt64)
	if off <= math.MaxInt64-n {
		end = off + n
	}
	return Range{Off: max(off, 0), End: max(end, 0)}
}

// from is the position of the first range that ends at or after off: the first that
// touches off from below, holds it, or lies above it.
func (s Set) from(off int64) int {
	return sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].End >= off })
}

// Add puts n bytes from off into the set.
func (s *Set) Add(off, n int64) {
	r := span(off, n)
	if r.Len() == 0 {
		return
	}
	i := s.from(r.Off)
	j := i
	for ; j < len(s.ranges) && s.ranges[j].Off <= r.End; j++ {
		r.Off = min(r.Off, s.ranges[j].Off)
		r.End = max(r.End, s.ranges[j].End)
	}
	s.thaw()
	s.ranges = slices.Replace(s.ranges, i, j, r)
}

// Remove takes n bytes from off out of the set.
func (s *Set) Remove(off, n int64) {
	r := span(off, n)
	if r.Len() == 0 {
		return
	}
	i := s.from(r.Off)
	j := i
	var kept []Range
	for ; j < len(s.ranges) && s.ranges[j].Off < r.End; j++ {
		old := s.ranges[j]
		if old.Off < r.Off {
			kept = append(kept, Range{old.Off, min(old.End, r.Off)})
		}
		if old.End > r.End {
			kept = append(kept, Range{r.End, old.End})
		}
	}
	s.thaw()
	s.ranges = slices.Replace(s.ranges, i, j, kept...)
}

// Truncate takes out everything from n on.
func (s *Set) Truncate(n int64) {
	n = max(n, 0)
	s.Remove(n, math.MaxInt64-n)
}

// Covers tells whether all n bytes from off are in the set. No bytes are always covered.
func (s Set) Covers(off, n int64) bool {
	r := span(off, n)
	if r.Len() == 0 {
		return true
	}
	i := s.from(r.End)
	return i < len(s.ranges) && s.ranges[i].Off <= r.Off
}

// Overlaps tells whether any of the n bytes from off is in the set.
func (s Set) Overlaps(off, n int64) bool {
	r := span(off, n)
	if r.Len() == 0 {
		return false
	}
	i := s.from(r.Off + 1)
	return i < len(s.ranges) && s.ranges[i].Off < r.End
}

// Run tells whether the byte at off is in the set, and where the bytes behind it of which
// the same is true end: the largest offset if no other follow.
func (s Set) Run(off int64) (in bool, end int64) {
	i := s.from(off + 1)
	switch {
	case i == len(s.ranges):
		return false, math.MaxInt64
	case s.ranges[i].Off <= off:
		return true, s.ranges[i].End
	}
	return false, s.ranges[i].Off
}

// Blocks is the number of aligned blocks of a size in which bytes of the set lie.
func (s Set) Blocks(size int64) int64 {
	var n int64
	counted := int64(-1) // the last block that was
	for _, r := range s.ranges {
		first, last := max(r.Off/size, counted+1), (r.End-1)/size
		n += max(last-first+1, 0)
		counted = max(last, counted)
	}
	return n
}

// Missing returns, ascending, what of the n bytes from off is not in the set.
func (s Set) Missing(off, n int64) []Range {
	r := span(off, n)
	if r.Len() == 0 {
		return nil
	}
	var missing []Range
	at := r.Off
	for _, held := range s.ranges[s.from(r.Off):] {
		if held.Off >= r.End {
			break
		}
		if held.Off > at {
			missing = append(missing, Range{at, held.Off})
		}
		at = held.End
	}
	if at < r.End {
		missing = append(missing, Range{at, r.End})
	}
	return missing
}

// Size is the number of bytes in the set.
func (s Set) Size() int64 {
	var n int64
	for _, r := range s.ranges {
		n += r.Len()
	}
	return n
}

// Ranges returns the set as ascending ranges that do not touch. The slice is the
// caller's.
func (s Set) Ranges() []Range { return slices.Clone(s.ranges) }

// Clone returns a set of its own with the same bytes.
func (s Set) Clone() Set { return Set{ranges: slices.Clone(s.ranges)} }

// Equal tells whether both sets hold the same bytes.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }
