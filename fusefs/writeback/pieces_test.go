package writeback

import (
	"math/rand/v2"
	"testing"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// The parts of a stream hold the largest object of S3, and each is one that a store takes.
func TestStreamOfTheLargestFile(t *testing.T) {
	s := &stream{wake: make(chan struct{}, 1)}
	s.claim(5<<40, DefaultPartSize)
	if s.err != nil {
		t.Fatal(s.err)
	}
	at := int64(0)
	for i, p := range s.parts {
		if p.number != i+1 || p.Off != at || p.Len() < objstore.MinPartSize || p.Len() > objstore.MaxPutSize {
			t.Fatalf("part %d is %+v, behind %d", i, p.piece, at)
		}
		at = p.End
	}
	if left := int64(5)<<40 - at; left > 2<<30 || len(s.parts) >= objstore.MaxParts {
		t.Errorf("%d parts leave %d bytes", len(s.parts), left)
	}
	all, _ := s.rest(5<<40, DefaultPartSize)
	if last := all[len(all)-1]; len(all) > objstore.MaxParts || last.End != 5<<40 || last.number != len(all) || last.Len() > objstore.MaxPutSize {
		t.Errorf("%d parts, the last is %+v", len(all), last)
	}
	// What is larger than that is sent without.
	if next := s.claim(7<<40, DefaultPartSize); next != never || s.err == nil {
		t.Errorf("a larger file goes on at %d, error %v", next, s.err)
	}
}

// The pieces of a random content with random changes are parts that a store takes, cover
// every byte once, and copy nothing that may have changed.
func TestPieces(t *testing.T) {
	w := New(Config{})
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		size := 1 + r.Int64N(1<<(21+r.IntN(25)))
		n := index.Inode{Size: size, PlacedGen: 7}
		c := index.ObjectContent(7, size)
		from := index.Key{Size: size}
		switch r.IntN(4) {
		case 0:
			from.Size = r.Int64N(size) // cannot be, but must not be relied on
		case 1:
			n.Size += r.Int64N(1 << 30)
		}
		for range r.IntN(20) {
			off := r.Int64N(n.Size)
			length := 1 + r.Int64N(1<<r.IntN(30))
			c.Change(off, length)
			c.Fill(off, length)
		}
		p := w.sentChanged(n, c, from)
		var at int64
		number := 0
		for i, one := range p.all {
			switch {
			case one.Off != at || one.End <= at || one.End > n.Size:
				t.Fatalf("seed %d: piece %d is %v, after %d of %d", seed, i, one, at, n.Size)
			case one.number <= number || one.number > objstore.MaxParts:
				t.Fatalf("seed %d: part %d follows %d", seed, one.number, number)
			case i < len(p.all)-1 && one.Len() < objstore.MinPartSize, one.Len() > objstore.MaxPutSize:
				t.Fatalf("seed %d: piece %d of %d has %d bytes", seed, i, len(p.all), one.Len())
			case one.copied && (one.End > from.Size || len(c.Changed(7, one.Off, one.Len())) > 0):
				t.Fatalf("seed %d: piece %v is copied", seed, one)
			}
			at, number = one.End, one.number
		}
		if at != n.Size {
			t.Fatalf("seed %d: %d of %d bytes", seed, at, n.Size)
		}
	}
}

// A change of a few bytes sends the least that can be a part.
func TestPiecesOfASmallChange(t *testing.T) {
	const size = 1 << 30
	c := index.ObjectContent(7, size)
	c.Change(100<<20, 1<<20)
	c.Fill(100<<20, 1<<20)
	p := New(Config{}).sentChanged(index.Inode{Size: size, PlacedGen: 7}, c, index.Key{Size: size})
	var sent int64
	for _, r := range p.sent() {
		sent += r.Len()
	}
	if sent > 6<<20 || len(p.all) > 11 {
		t.Errorf("%d bytes are sent in %d pieces: %v", sent, len(p.all), p.all)
	}
}
