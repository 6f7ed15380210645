package writeback

import (
	"math/rand/v2"
	"testing"

	"objvol/fusefs/index"
	"objvol/objstore"
)

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
