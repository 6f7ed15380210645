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
		at := m.Off
		for _, a := range c.Absent(m.Off, m.Len()) {
			if a.Off > at {
				zeros = append(zeros, extent.Range{Off: at, End: a.Off})
			}
			at = a.End
		}
		if at < m.End {
			zeros = append(zeros, extent.Range{Off: at, End: m.End})
		}
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
	c.Resident.Remove(off, n)
	c.Holes.Add(off, min(off+n, c.BaseLen)-off)
}

// Truncate cuts everything from size on. What a later growth adds is zeros.
func (c *Content) Truncate(size int64) {
	c.Resident.Truncate(size)
	c.Holes.Truncate(size)
	c.BaseLen = min(c.BaseLen, size)
}

// Sent records that the object has the whole content, size bytes: what was zeros above
// the mark is known to be zeros still, and need not be fetched to be read.
func (c *Content) Sent(size int64) {
	for _, z := range c.Resident.Missing(c.BaseLen, size-c.BaseLen) {
		c.Holes.Add(z.Off, z.Len())
	}
	c.Holes.Truncate(size)
	c.BaseLen = size
}
