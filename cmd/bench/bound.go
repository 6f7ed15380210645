package main

import (
	"io"
	"slices"
)

// bound is what no filesystem on this machine does a phase sooner than: the package's
// comment says what is in it.
type bound struct {
	seconds float64
	by      string // what takes them
}

// bound of a line; false where it needs what was not measured.
func (l line) bound() (bound, bool) {
	alone := func(m measurement) float64 { return m.alone(l.processors) }
	fuse, ok := l.least(alone, floorName)
	if !l.store {
		return bound{fuse, "FUSE alone"}, ok
	}
	took, ok2 := l.least(alone, l.best(), togetherName)
	b := bound{took, "client"}
	if all := (l.mounts() + l.sends()) / float64(l.processors); all > took {
		b = bound{all, "CPU"}
	}
	return b, ok && ok2
}

// mounts is the least CPU of who works on the floor, and of the floor.
func (l line) mounts() float64 {
	least, _ := l.least(wholeCPU, floorName)
	return least
}

// sends is the least CPU of the best client, and of the store for it.
func (l line) sends() float64 {
	least, _ := l.least(wholeCPU, l.best())
	return least
}

// best is the client whose work bounds a filesystem.
func (l line) best() string {
	if len(l.sides[bestName]) > 0 {
		return bestName
	}
	return clientName
}

func wholeCPU(m measurement) float64 { return m.whole.sum() }

// least is the least of all rounds of some sides.
func (l line) least(value func(measurement) float64, sides ...string) (least float64, ok bool) {
	for _, side := range sides {
		for _, m := range l.sides[side] {
			if v := value(m); !ok || v < least {
				least, ok = v, true
			}
		}
	}
	return least, ok
}

// boundOf is the bound of what a target limits, in its measure; 0 is none.
func (l line) boundOf(of against) float64 {
	if of == cpu {
		mounts, ok := l.least(filesystemCPU, floorName)
		sends, ok2 := l.median(clientName, programCPU)
		if !ok || !ok2 || sends == 0 {
			return 0
		}
		return (mounts + sends) / sends
	}
	b, ok := l.bound()
	if !ok {
		return 0
	}
	return l.inMeasure(b.seconds, of)
}

// inMeasure is a time in the measure of a target: a time, or a multiple of a side's; 0 is none.
func (l line) inMeasure(took float64, of against) float64 {
	base := 0.0
	switch of {
	case seconds:
		return took
	case local:
		base, _ = l.median(localName, returnedOf)
	case raw:
		base, _ = l.median(clientName, returnedOf)
	default:
		return 0
	}
	if l.ops && base > 0 {
		return base / took
	}
	return took / base
}

// ours is how long objvol took.
func (l line) ours() (float64, bool) {
	if l.ops {
		return l.median(objvolName, returnedOf)
	}
	return l.median(objvolName, l.value)
}

// writeBounds writes how far objvol is from the bound of each line that waits for the store.
func writeBounds(w io.Writer, results []result) {
	writeLine(w, []string{"seconds", "CPU: program + fuse", "CPU: client + store", "bound", "by", "side by side", "objvol", "/ bound", "/ side by side", "objvol's CPU", "/ CPU of both"})
	writeLine(w, slices.Concat([]string{"---"}, slices.Repeat([]string{"---:"}, 10)))
	for _, res := range results {
		for _, l := range res.lines() {
			b, ok := l.bound()
			ours, ok2 := l.ours()
			if !l.store || !ok || !ok2 {
				continue
			}
			together, beside := "–", "–" // it may have failed, or there was no time for it
			if took, ok := l.median(togetherName, returnedOf); ok {
				together, beside = number(took), number(ours/took)
			}
			used, _ := l.median(objvolName, wholeCPU)
			mounts, sends := l.mounts(), l.sends()
			writeLine(w, []string{
				l.name, number(mounts), number(sends), number(b.seconds), b.by, together,
				number(ours), number(ours / b.seconds), beside, number(used), number(used / (mounts + sends)),
			})
		}
	}
}
