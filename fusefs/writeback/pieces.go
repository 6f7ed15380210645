package writeback

import (
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
	"objvol/objstore"
)

// pieces are the parts of which an object is made.
type pieces struct {
	from index.Key // the object that some of them are copied from,
	gen  uint64    // and its generation
	all  []piece
}

// piece is one part: sent, or copied from the same place of the object that there is.
type piece struct {
	number int
	extent.Range
	copied bool
}

// DefaultPartSize is the size of the parts of an upload, in bytes, where nothing else is
// configured. It grows with an object, so that MaxParts suffice.
const DefaultPartSize = 16 << 20

// Of the size of a part: the largest content that goes in one request, and the size in which
// an object is copied. A store answers when a part is copied: one that is not too large
// keeps a slow store within the time in which it must.
const (
	putParts  = 2
	copyParts = 8
)

// putSize is the largest content, in bytes, that goes in one request; more goes in parts.
func (w *Writeback) putSize() int64 { return putParts * w.PartSize }

// partSize returns the size, in bytes, of the parts of an object; least is what they would
// have in a small one.
func partSize(total, least int64) int64 {
	return max(least, (total+objstore.MaxParts-1)/objstore.MaxParts)
}

// sentWhole are the pieces of a content of which all is sent.
func (w *Writeback) sentWhole(size int64) pieces {
	return pieces{all: divide(size, partSize(size, w.PartSize), false)}
}

// copiedWhole are the pieces of a copy of an object.
func (w *Writeback) copiedWhole(src index.Key) pieces {
	return pieces{from: src, all: divide(src.Size, partSize(src.Size, copyParts*w.PartSize), true)}
}

// divide divides so many bytes, which may be none, into parts of a size.
func divide(total, size int64, copied bool) []piece {
	all := make([]piece, 0, total/size+1)
	for off := int64(0); off < total || off == 0; off += size {
		all = append(all, piece{len(all) + 1, extent.Range{Off: off, End: min(off+size, total)}, copied})
	}
	return all
}

// finer is what a part is divided by where some of it is copied: a small change sends no
// more than it must. It leaves the least size of a part that a store takes.
const finer = 3

// sentChanged are the pieces of a content of which only what may differ from the object
// that the inode has is sent. Neighbours of one kind are one piece, up to a size.
func (w *Writeback) sentChanged(n index.Inode, c index.Content, from index.Key) pieces {
	p := pieces{from: from, gen: n.PlacedGen}
	changed := c.Changed(n.PlacedGen, 0, n.Size)
	if from.Size < n.Size {
		changed = append(clip(changed, from.Size), extent.Range{Off: from.Size, End: n.Size})
	}
	size := partSize(n.Size, w.PartSize/finer)
	for _, one := range divide(n.Size, size, false) {
		for len(changed) > 0 && changed[0].End <= one.Off {
			changed = changed[1:]
		}
		one.copied = len(changed) == 0 || changed[0].Off >= one.End
		most := max(size, w.PartSize)
		if one.copied {
			most = max(size, copyParts*w.PartSize)
		}
		last := len(p.all) - 1
		if last >= 0 && p.all[last].copied == one.copied && one.End-p.all[last].Off <= most {
			p.all[last].End = one.End
			continue
		}
		p.all = append(p.all, one)
	}
	return p
}

// clip returns what of ascending ranges lies below an end.
func clip(ranges []extent.Range, end int64) []extent.Range {
	var below []extent.Range
	for _, r := range ranges {
		if r.Off < end {
			below = append(below, extent.Range{Off: r.Off, End: min(r.End, end)})
		}
	}
	return below
}

// sent returns what of a content must be on this host.
func (p pieces) sent() []extent.Range {
	var ranges []extent.Range
	for _, one := range p.all {
		if !one.copied && one.Len() > 0 {
			ranges = append(ranges, one.Range)
		}
	}
	return ranges
}

// copies reports whether any of the pieces is copied.
func (p pieces) copies() bool {
	for _, one := range p.all {
		if one.copied {
			return true
		}
	}
	return false
}
