package index

import (
	"math/rand/v2"
	"slices"
	"testing"

	"objvol/fusefs/extent"
)

// Where a byte of the model is.
const (
	zero = iota
	object
	local
)

// bytesOf says of each of the first bytes of a content where it is.
func bytesOf(c *Content, size int64) []int {
	all := make([]int, size)
	mark := func(ranges []extent.Range, what int) {
		for _, r := range ranges {
			for i := r.Off; i < r.End; i++ {
				all[i] = what
			}
		}
	}
	mark(c.Resident.Ranges(), local)
	mark(c.Absent(0, size), object)
	return all
}

// A content whose bytes are written, cleared, cut, fetched, sent and evicted is compared
// with an array that says of each byte where it is.
func TestContentAgainstModel(t *testing.T) {
	const width = 64
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := Content{BaseLen: r.Int64N(width)}
		size := c.BaseLen
		want := make([]int, width)
		set := func(off, end int64, what int) {
			for i := off; i < end; i++ {
				want[i] = what
			}
		}
		set(0, size, object)
		for range 40 {
			off := r.Int64N(width)
			n := 1 + r.Int64N(width-off)
			switch r.IntN(6) {
			case 0:
				c.Fill(off, n)
				set(off, off+n, local)
				size = max(size, off+n)
			case 1:
				c.Clear(off, n)
				set(off, off+n, zero)
			case 2:
				c.Truncate(off)
				set(off, width, zero)
				size = off
			case 3: // fetched
				for _, a := range c.Absent(off, n) {
					c.Resident.Add(a.Off, a.Len())
					set(a.Off, a.End, local)
				}
			case 4: // sent: what was zeros stays zeros
				c.Sent(1, size)
			case 5: // sent and evicted
				c.Sent(1, size)
				c = Content{BaseLen: c.BaseLen, Holes: c.Holes}
				for i := range want {
					if want[i] == local {
						want[i] = object
					}
				}
			}
			if got := bytesOf(&c, width); !slices.Equal(got, want) {
				t.Fatalf("seed %d: got %v\nwant %v", seed, got, want)
			}
			for _, z := range c.Zeros(0, width) {
				if slices.ContainsFunc(want[z.Off:z.End], func(what int) bool { return what != zero }) {
					t.Fatalf("seed %d: %v are no zeros in %v", seed, z, want)
				}
				set(z.Off, z.End, -1)
			}
			if slices.Contains(want, zero) {
				t.Fatalf("seed %d: zeros are missing: %v", seed, want)
			}
			for _, z := range c.Zeros(0, width) {
				set(z.Off, z.End, zero)
			}
		}
	}
}

// A content that was stored before there were holes is read as one without.
func TestContentOfVersion1(t *testing.T) {
	c := Content{File: 3, BaseLen: 100}
	c.Fill(0, 10)
	b := appendContent(nil, &c)
	b = b[:len(b)-3] // no holes, nothing the same
	b[0] = 1
	got, err := decodeContent(b)
	if err != nil || got.File != 3 || got.BaseLen != 100 || !got.Resident.Equal(c.Resident) || got.Holes.Size() != 0 {
		t.Fatalf("got %+v, error %v", got, err)
	}
}

// A file and its object are compared with arrays: what is not said to have changed is the
// same in both.
func TestSameAgainstModel(t *testing.T) {
	const width = 32
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		var file, placed, sending [width]int // 0: zeros, or beyond the end
		size, sendingSize := r.Int64N(width), int64(0)
		gen := uint64(1)
		for i := range size {
			file[i], placed[i] = int(i)+1, int(i)+1
		}
		c := ObjectContent(gen, size)
		for step := range 60 {
			off := r.Int64N(width)
			n := 1 + r.Int64N(width-off)
			switch r.IntN(8) {
			case 0, 1: // a write
				c.Change(off, n)
				c.Fill(off, n)
				for i := off; i < off+n; i++ {
					file[i] = 1000*step + int(i)
				}
				size = max(size, off+n)
			case 2:
				c.Clear(off, n)
				clear(file[off : off+n])
			case 3:
				c.Truncate(off)
				clear(file[off:])
				size = off
			case 4: // fetched
				for _, a := range c.Absent(off, n) {
					c.Resident.Add(a.Off, a.Len())
				}
			case 5: // a copy is sent
				sending, sendingSize = file, size
			case 6: // it lands
				before := gen
				gen++
				if sending == file && sendingSize == size {
					c.Sent(gen, size)
				} else if sendingSize > 0 && len(c.Absent(0, size)) == 0 {
					c.Overtaken(before, gen)
				} else {
					gen = before
					continue
				}
				placed, sendingSize = sending, 0
			case 7: // evicted
				if file == placed && c.BaseLen == size {
					c = Content{BaseLen: c.BaseLen, Holes: c.Holes, Same: c.Same, SameGen: c.SameGen}
				}
			}
			var changed [width]bool
			for _, m := range c.Changed(gen, 0, size) {
				for i := m.Off; i < m.End; i++ {
					changed[i] = true
				}
			}
			for i := range size {
				if !changed[i] && file[i] != placed[i] {
					t.Fatalf("seed %d, step %d: %d is said to be the same in\n%v and\n%v", seed, step, i, file, placed)
				}
			}
			if got := c.Changed(gen+1, 0, size); len(c.Absent(0, size)) == 0 && size > 0 && (len(got) != 1 || got[0].Len() != size) {
				t.Fatalf("something is the same in an object that is not known: %v", got)
			}
		}
	}
}
