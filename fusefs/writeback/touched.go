package writeback

import "sync"

// touched tells a listing which keys it may not speak about: those with a request of
// ours under way, or ended, since the listing was asked for (hard-cases 9).
type touched struct {
	mu       sync.Mutex
	seq      uint64
	underway map[string]int
	ended    map[string]uint64 // key -> sequence at its end; kept while a listing runs
	below    map[string]uint64 // prefix that ends in "/" -> the last of those of the keys below it
	listings map[uint64]int    // sequences at which running listings began
}

func newTouched() *touched {
	return &touched{
		underway: make(map[string]int),
		ended:    make(map[string]uint64),
		below:    make(map[string]uint64),
		listings: make(map[uint64]int),
	}
}

func (t *touched) begin(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.underway[key]++
}

func (t *touched) end(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.underway[key]--; t.underway[key] <= 0 {
		delete(t.underway, key)
	}
	if len(t.listings) > 0 {
		t.seq++
		t.ended[key] = t.seq
		for i := range len(key) - 1 {
			if key[i] == '/' {
				t.below[key[:i+1]] = t.seq
			}
		}
	}
}

// A Listing is one look at the bucket, from the moment its request is sent.
type Listing struct {
	w    *Writeback
	from uint64
}

// BeginListing notes that a listing, or a look at one key, is about to be asked for. The
// caller ends it.
func (w *Writeback) BeginListing() Listing {
	t := w.touched
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listings[t.seq]++
	return Listing{w, t.seq}
}

// Overtaken reports whether the listing says nothing about a key, because a request of
// ours changed it meanwhile. It is asked inside index.Update, so that the answer holds
// until the commit.
func (l Listing) Overtaken(key string) bool {
	t := l.w.touched
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.underway[key] > 0 || t.ended[key] > l.from
}

// OvertakenBelow reports whether the listing's common prefix may have been shown by keys
// that are gone, because a request of ours changed one of them meanwhile. Keys with a
// request under way are in the index. It is asked where Overtaken is.
func (l Listing) OvertakenBelow(prefix string) bool {
	t := l.w.touched
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.below[prefix] > l.from
}

// End forgets the listing.
func (l Listing) End() {
	t := l.w.touched
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listings[l.from]--; t.listings[l.from] <= 0 {
		delete(t.listings, l.from)
	}
	if len(t.listings) == 0 {
		clear(t.ended)
		clear(t.below)
	}
}
