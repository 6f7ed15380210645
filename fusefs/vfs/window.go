package vfs

import (
	"sync"

	"objvol/fusefs/extent"
)

// How far a reader is read ahead of, in bytes.
const (
	// windowMost is the widest window. A volume with a small cache has narrower ones.
	windowMost = 64 << 20
	// windowFirst is what the first read of a file's first bytes counts for.
	windowFirst = 1 << 20
	// windowGrowth is how many times what was read in sequence is wanted ahead.
	windowGrowth = 4
	// windowSlack is how far reads of one sequence may be out of order: the kernel sends
	// several at once.
	windowSlack = 2 << 20

	// A window is fetched by requests of a quarter of it, within these bounds.
	partLeast = 2 << 20
	partMost  = 16 << 20
)

// What a read out of sequence fetches at once, in bytes: more, where what came with the
// bytes of reads before was wanted too.
const (
	grainLeast = 8 << 10
	grainFirst = 16 << 10
	grainMost  = 128 << 10
	// grainSample is how many reads decide on another grain.
	grainSample = 16
)

// window is what one open file's reads so far say of those to come. It knows offsets
// only: who fetches is the caller.
type window struct {
	most int64 // the widest, in bytes

	mu    sync.Mutex // protects what follows; a leaf
	next  int64      // where the furthest read of the sequence ended
	run   int64      // bytes that were read in sequence
	front int64      // up to where was asked for ahead
	mine  []*transfer

	grain  int64
	recent [grainSample]extent.Range // what reads out of sequence fetched
	at     int                       // in recent
	reads  int                       // of the present sample
	hits   int                       // those of them that found what others had fetched
}

// saw notes a read. What was asked for ahead and is not wanted any more is returned.
func (w *window) saw(off, n int64) (unwanted []*transfer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := off + n
	switch {
	case off == 0 && w.next == 0:
		w.run = max(n, windowFirst)
		w.next = end
	case off >= w.next-windowSlack && off <= w.next+max(windowSlack, w.aheadLocked()):
		if end > w.next {
			w.run += min(end-w.next, n)
			w.next = end
		}
	default:
		unwanted, w.mine = w.mine, nil
		w.run, w.next, w.front = 0, end, 0
		w.sampleLocked(off, end)
		return unwanted
	}
	kept := w.mine[:0]
	for _, t := range w.mine {
		if t.End <= w.next-windowSlack {
			unwanted = append(unwanted, t)
		} else {
			kept = append(kept, t)
		}
	}
	w.mine = kept
	return unwanted
}

// aheadLocked is how many bytes behind the furthest read are wanted.
func (w *window) aheadLocked() int64 { return min(windowGrowth*w.run, w.most) }

// partLocked is a power of two.
func (w *window) partLocked() int64 {
	part := int64(partLeast)
	for part < partMost && part*4 < w.aheadLocked() {
		part *= 2
	}
	return part
}

// sampleLocked chooses the grain after a read out of sequence.
func (w *window) sampleLocked(off, end int64) {
	for _, r := range w.recent {
		if r.Off <= off && end <= r.End {
			w.hits++
			break
		}
	}
	if w.reads++; w.reads < grainSample {
		return
	}
	switch {
	case w.hits*2 >= w.reads:
		w.grain = min(w.grainLocked()*2, grainMost)
	case w.hits*8 < w.reads:
		w.grain = max(w.grainLocked()/2, grainLeast)
	}
	w.reads, w.hits = 0, 0
}

func (w *window) grainLocked() int64 {
	if w.grain == 0 {
		return grainFirst
	}
	return w.grain
}

// demand grows a range that a read lacks to what is to be fetched of a file's first size
// bytes, and reports whether the read was out of sequence.
func (w *window) demand(want extent.Range, size int64) (r extent.Range, scattered bool) {
	if size <= wholeMost {
		return extent.Range{Off: 0, End: size}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run > 0 {
		return extent.Range{Off: want.Off, End: min(size, max(want.End, want.Off+min(w.partLocked(), w.aheadLocked())))}, false
	}
	g := w.grainLocked()
	r = extent.Range{Off: want.Off / g * g, End: min(size, (want.End+g-1)/g*g)}
	w.recent[w.at] = r
	w.at = (w.at + 1) % len(w.recent)
	return r, true
}

// ahead returns the parts that are to be asked for now, ascending. They count as asked
// for.
func (w *window) ahead() []extent.Range {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run == 0 {
		return nil
	}
	part, target := w.partLocked(), w.next+w.aheadLocked()
	w.front = max(w.front, w.next)
	var parts []extent.Range
	for w.front+part <= target {
		// Parts end at multiples of their size, so that those of several readers are the same.
		end := (w.front/part + 1) * part
		parts = append(parts, extent.Range{Off: w.front, End: end})
		w.front = end
	}
	return parts
}

// refused takes back that a part and what follows it were asked for.
func (w *window) refused(off int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.front = min(w.front, off)
}

// holds notes a transfer that is wanted as long as the window reaches to it.
func (w *window) holds(t *transfer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mine = append(w.mine, t)
}

// end returns what was asked for ahead: nobody reads it any more.
func (w *window) end() []*transfer {
	w.mu.Lock()
	defer w.mu.Unlock()
	unwanted := w.mine
	w.mine = nil
	return unwanted
}
