package vfs

import (
	"sync"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// Reads all over a file pay for a request each, and nobody knows how many will follow: whether
// to fetch the whole file would have been less. Who rents skis is told to buy them when the
// rent has come to their price. So the more requests were paid for, the more comes with the
// next one; from when they are worth as much as what is still absent, each brings as much as
// it is worth itself. A few reads never fetch a file, and what comes unasked is never worth
// more than the requests that were made. It comes behind the bytes that are wanted, and
// nobody waits for it.

const (
	// requestWorth is how many bytes are worth a request: what comes, at 80 MB/s, in the 50 ms
	// that a store that is not near takes to answer.
	requestWorth = 4 << 20
	// wideAtOnce bounds the wide transfers under way, of all files together: where bytes come
	// slowly most requests stay narrow, and have their share of the line.
	wideAtOnce = 4
)

// scattered counts the requests of reads out of sequence of a file, whoever reads.
type scattered struct {
	mu       sync.Mutex // a leaf; protects what follows
	file     uint64     // the content file that they fill
	requests int64
}

// paid returns how many requests were paid for what is in a content file. One that was given
// up is paid for anew, so that files that drive each other out of the cache come no faster.
func (s *scattered) paid(file uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != file {
		if s.file != 0 {
			s.requests = 0
		}
		s.file = file
	}
	return s.requests
}

func (s *scattered) pay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
}

// wide is how many bytes the next request is to bring of a file of which some are absent,
// after others were paid for.
func wide(requests, absent int64) int64 {
	price := max(1, absent/requestWorth) // in requests
	return requestWorth * min(requests, price) / price
}

// transferScattered is transfer for a read out of sequence. It brings r and, where that is
// worth it, what is absent behind.
func (fs *FS) transferScattered(nd *node, gen uint64, c index.Content, want, r extent.Range) *transfer {
	more, done := fs.widen(nd, c, r)
	t, started := fs.bring(nd, gen, want, more, want.End, done)
	if !started {
		return t
	}
	nd.scattered.pay()
	if more != r {
		nd.transfers.pin(t)
	}
	return t
}

// widen returns what is to be fetched with r, and what is to be called when that has ended.
func (fs *FS) widen(nd *node, c index.Content, r extent.Range) (more extent.Range, done func()) {
	absent := c.BaseLen - c.Resident.Size()
	width := wide(nd.scattered.paid(c.File), absent)
	done = func() {}
	if width <= r.Len() || !fs.mayBeWhole(c.BaseLen, absent) {
		return r, done
	}
	if fs.wides.Add(1) > wideAtOnce {
		fs.wides.Add(-1)
		return r, done
	}
	end := r.End
	for _, m := range c.Absent(r.End, min(r.Off+width, c.BaseLen)-r.End) {
		if m.Off-end > grainMost {
			break // what is between is on this host
		}
		end = m.End
	}
	return extent.Range{Off: r.Off, End: end}, func() { fs.wides.Add(-1) }
}

// mayBeWhole reports whether a file may be on this host as a whole, though nobody asked for it:
// it takes no more than half of what is not needed for what the bucket does not have.
func (fs *FS) mayBeWhole(size, absent int64) bool {
	if size > (fs.CacheSize-fs.ledger.Pinned())/2 {
		return false
	}
	free, _, err := fs.Cache.Free(fs.Reserve)
	return err == nil && free >= 2*absent
}
