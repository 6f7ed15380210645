package vfs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// Reads all over a file pay for a request each, and nobody knows how many will follow: whether
// to fetch the whole file would have been less. Who rents skis is told to buy them when the
// rent has come to their price. So the more requests were paid for, the more comes with the
// next one; from when they are worth as much as what is still absent, each brings as much as
// it is worth itself. A few reads never fetch a file, and what comes unasked is never worth
// more than the requests that were made. It comes behind the bytes that are wanted, and
// nobody waits for it longer than a request of his own would take.
//
// Measured with 2,000 reads of 1 GiB, four at once, from a store 20 ms away: 5.5 to 6 s instead
// of 13.4 with narrow requests. Where its line has 5 MB/s, 800 reads take 1.3 times as long as a
// client's; 1.9 to 2.4 if a request were worth 4 MiB there too, and what is late waited for.

const (
	// requestTime is what a store that is not near takes to answer. What one transfer brings
	// meanwhile is the worth of a request, within these bounds in bytes: at most what comes at 80 MB/s.
	requestTime = 50 * time.Millisecond
	worthLeast  = grainMost
	worthMost   = 4 << 20
	// wideAtOnce bounds the wide transfers under way, of all files together: where bytes come
	// slowly most requests stay narrow, and have their share of the line.
	wideAtOnce = 4
)

// worth is how many bytes are worth a request. The zero value is the most.
type worth struct{ less atomic.Int64 }

func (w *worth) bytes() int64 { return worthMost - w.less.Load() }

// came learns from bytes that came in one transfer beside others: at once where that was
// slower than before, half of it where it was faster.
func (w *worth) came(bytes int64, took time.Duration) {
	now := int64(float64(bytes) * float64(requestTime) / float64(took))
	now = min(max(now, worthLeast), worthMost)
	w.less.Store(worthMost - min(now, (w.bytes()+now)/2))
}

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

// wide is how many bytes the next request, which is worth so many, is to bring of a file of
// which some are absent, after others were paid for.
func wide(worth, requests, absent int64) int64 {
	price := max(1, absent/worth) // in requests
	return worth * min(requests, price) / price
}

// transferScattered is transfer for a read out of sequence. It brings r and, where that is
// worth it, what is absent behind.
func (fs *FS) transferScattered(ctx context.Context, nd *node, gen uint64, c index.Content, want, r extent.Range) *transfer {
	more, done := fs.widen(nd, c, r)
	t, started := fs.bring(nd, gen, want, more, nil, done)
	if !started && t.Len() > grainMost && nd.transfers.isLate(ctx, t, want.End) {
		late := t
		more = r
		t, started = fs.bring(nd, gen, want, more, late, func(*transfer) {})
		nd.transfers.leave(late)
	}
	if !started {
		return t
	}
	nd.scattered.pay()
	if more != r {
		nd.transfers.pin(t)
	}
	return t
}

// isLate waits for what is below an offset as long as for a request of one's own, and reports
// whether it has not come.
func (ts *transfers) isLate(ctx context.Context, t *transfer, until int64) bool {
	patient, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	err := ts.wait(patient, t, until, true)
	return errors.Is(err, ErrInterrupted) && ctx.Err() == nil
}

// widen returns what is to be fetched with r, and the end of [FS.bring].
func (fs *FS) widen(nd *node, c index.Content, r extent.Range) (more extent.Range, done func(*transfer)) {
	absent := c.BaseLen - c.Resident.Size()
	width := wide(fs.worth.bytes(), nd.scattered.paid(c.File), absent)
	done = func(*transfer) {}
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
	return extent.Range{Off: r.Off, End: end}, func(t *transfer) {
		fs.wides.Add(-1)
		if t != nil && t.took > 0 {
			fs.worth.came(t.Len(), t.took)
		}
	}
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
