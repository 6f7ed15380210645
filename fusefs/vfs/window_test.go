package vfs

import (
	"math/rand/v2"
	"testing"

	"objvol/fusefs/extent"
)

const mib = 1 << 20

// TestWindowGrows: in order and a little out of order, each byte is asked for once, ever
// further ahead, and never further than the widest window.
func TestWindowGrows(t *testing.T) {
	w := window{most: windowMost}
	var front, furthest int64
	for i := range int64(512) {
		at := i ^ 1 // the second of two comes first
		if i < 2 {
			at = i
		}
		w.saw(at*128<<10, 128<<10)
		for _, p := range w.ahead() {
			if p.Off != max(front, w.next) || p.Len() <= 0 {
				t.Fatalf("part %v follows %d, read up to %d", p, front, w.next)
			}
			front = p.End
		}
		if i > 8 && front < w.next {
			t.Fatalf("nothing is asked for ahead of %d", w.next)
		}
		furthest = max(furthest, front-w.next)
	}
	if furthest > windowMost || furthest < windowMost/2 {
		t.Errorf("the window is %d bytes wide", furthest)
	}
}

// TestWindowOfJumps: reads that follow no order ask for nothing ahead, and fetch little.
func TestWindowOfJumps(t *testing.T) {
	const size = 1 << 30
	w := window{most: windowMost}
	rng := rand.New(rand.NewPCG(1, 2))
	var fetched int64
	for range 500 {
		off := int64(1)<<20 + rng.Int64N(size/4096-256)*4096
		w.saw(off, 4096)
		r, _ := w.demand(extent.Range{Off: off, End: off + 4096}, size)
		fetched += r.Len()
		for _, p := range w.ahead() {
			fetched += p.Len()
		}
	}
	if fetched > 4*500*4096 {
		t.Errorf("%d bytes are fetched for %d", fetched, 500*4096)
	}
}

// TestWindowSkips: a reader that skips ahead within the window keeps it; one that leaves
// it gives back what was asked for, and begins anew.
func TestWindowSkips(t *testing.T) {
	w := window{most: windowMost}
	for i := range int64(64) {
		w.saw(i*mib/4, mib/4)
		w.ahead()
	}
	held := &transfer{Range: extent.Range{Off: 40 * mib, End: 48 * mib}}
	w.holds(held)
	if left := w.saw(30*mib, 4096); len(left) > 0 || w.run == 0 {
		t.Error("a skip within the window ended it")
	}
	if left := w.saw(700*mib, 4096); len(left) != 1 || left[0] != held || w.run != 0 || len(w.ahead()) > 0 {
		t.Errorf("after a jump %d transfers are given back and %d bytes count as read in order", len(left), w.run)
	}
	w.saw(700*mib+4096, 4096)
	if got := w.aheadLocked(); got != windowGrowth*4096 {
		t.Errorf("two reads in order are followed by %d bytes", got)
	}
}

// TestWindowGivesBack: what was asked for and has been passed is not held any more.
func TestWindowGivesBack(t *testing.T) {
	w := window{most: windowMost}
	w.saw(0, mib)
	w.holds(&transfer{Range: extent.Range{Off: mib, End: 2 * mib}})
	w.holds(&transfer{Range: extent.Range{Off: 2 * mib, End: 9 * mib}})
	given := 0
	for i := range int64(7) {
		given += len(w.saw((i+1)*mib, mib))
	}
	if given != 1 || len(w.end()) != 1 || len(w.end()) != 0 {
		t.Errorf("%d transfers were given back on the way", given)
	}
}

// TestGrain: reads that find what others fetched make more be fetched at once, up to a
// bound; reads that do not, less.
func TestGrain(t *testing.T) {
	const size = 1 << 30
	w := window{most: windowMost}
	read := func(off int64) int64 {
		w.saw(off, 4096)
		r, _ := w.demand(extent.Range{Off: off, End: off + 4096}, size)
		return r.Len()
	}
	last := int64(0)
	for i := range int64(200) {
		base := 10*mib + (i/2%2)*400*mib + i/4*8*mib
		last = read(base + i%2*4096)
		w.saw(base+4*mib*50, 1) // elsewhere, so that nothing is in order
	}
	if last < grainFirst {
		t.Errorf("reads side by side fetch %d bytes", last)
	}
	for i := range int64(200) {
		last = read(10*mib + (i*37%101)*9*mib)
	}
	if last != grainLeast {
		t.Errorf("reads far apart fetch %d bytes", last)
	}
}
