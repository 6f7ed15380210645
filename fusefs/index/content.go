package index

import "objvol/fusefs/extent"

// Content says where the bytes of a regular file are.
type Content struct {
	// File is the generation of the content file, 0 when there is none.
	File uint64
	// Resident are the ranges that the content file holds. They may lie behind the end of
	// the file: that is space which was reserved.
	Resident extent.Set
	// BaseLen: of what is not resident, the bytes below this mark are those of the object
	// at Inode.Placed, the others are zeros. Truncation lowers it (hard-cases 35).
	BaseLen int64
	// Holes are ranges below BaseLen that are neither resident nor read from the object:
	// zeros. They touch no resident byte.
	Holes extent.Set
	// Same are ranges known to be, byte for byte and at the same offsets, those of the
	// object of generation SameGen. While that is Inode.PlacedGen, they can be copied
	// inside the store instead of being sent. What only the object has is the same without
	// being in the set. An empty set says that nothing is known.
	Same    extent.Set
	SameGen uint64
}

// ObjectContent is the content of a file of which this host has nothing: size bytes of its
// object, which is of a generation.
func ObjectContent(gen uint64, size int64) Content {
	c := Content{BaseLen: size}
	c.same(gen, size)
	return c
}

func (c *Content) same(gen uint64, size int64) {
	c.Same, c.SameGen = extent.Set{}, gen
	c.Same.Add(0, size)
}

// Change records that n bytes from off may differ from the object's. It is committed before
// the first of them changes. Who changes many small ranges records larger ones, lest Same
// consists of thousands.
func (c *Content) Change(off, n int64) { c.Same.Remove(off, n) }

// Changed returns, ascending, what of n bytes from off may differ from the object of a
// generation.
func (c *Content) Changed(gen uint64, off, n int64) []extent.Range {
	var same extent.Set
	if c.SameGen == gen {
		same = c.Same
	}
	var changed []extent.Range
	for _, m := range same.Missing(off, n) {
		changed = append(changed, outside(m, c.Absent(m.Off, m.Len()))...)
	}
	return changed
}

// outside returns, ascending, what of a range lies outside others, which are ascending and
// in it.
func outside(r extent.Range, others []extent.Range) []extent.Range {
	var between []extent.Range
	at := r.Off
	for _, o := range others {
		if o.Off > at {
			between = append(between, extent.Range{Off: at, End: o.Off})
		}
		at = o.End
	}
	if at < r.End {
		between = append(between, extent.Range{Off: at, End: r.End})
	}
	return between
}

// Absent returns, ascending, what of n bytes from off only the object has.
func (c *Content) Absent(off, n int64) []extent.Range {
	if n = min(off+n, c.BaseLen) - off; n <= 0 {
		return nil
	}
	var absent []extent.Range
	for _, m := range c.Resident.Missing(off, n) {
		absent = append(absent, c.Holes.Missing(m.Off, m.Len())...)
	}
	return absent
}

// Zeros returns, ascending, what of n bytes from off is neither resident nor absent.
func (c *Content) Zeros(off, n int64) []extent.Range {
	var zeros []extent.Range
	for _, m := range c.Resident.Missing(off, n) {
		zeros = append(zeros, outside(m, c.Absent(m.Off, m.Len()))...)
	}
	return zeros
}

// Fill records that n bytes from off are in the content file.
func (c *Content) Fill(off, n int64) {
	c.Resident.Add(off, n)
	c.Holes.Remove(off, n)
}

// Clear makes n bytes from off zeros that take no space.
func (c *Content) Clear(off, n int64) {
	c.Change(off, n)
	c.Resident.Remove(off, n)
	c.Holes.Add(off, min(off+n, c.BaseLen)-off)
}

// Truncate cuts everything from size on. What a later growth adds is zeros.
func (c *Content) Truncate(size int64) {
	c.Resident.Truncate(size)
	c.Holes.Truncate(size)
	c.Same.Truncate(size)
	c.BaseLen = min(c.BaseLen, size)
}

// Sent records that the object, which is of a generation, has the whole content, size
// bytes: what was zeros above the mark is known to be zeros still, and need not be fetched
// to be read.
func (c *Content) Sent(gen uint64, size int64) {
	for _, z := range c.Resident.Missing(c.BaseLen, size-c.BaseLen) {
		c.Holes.Add(z.Off, z.Len())
	}
	c.Holes.Truncate(size)
	c.BaseLen = size
	c.same(gen, size)
}

// Overtaken records that an object of a later generation of ours, but not the latest, took
// the place of the one before: what has not changed since that is in this one too.
func (c *Content) Overtaken(before, gen uint64) {
	if c.SameGen == before {
		c.SameGen = gen
	}
}
