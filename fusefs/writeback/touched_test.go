package writeback

import "testing"

// A listing says nothing about keys with a request under way at any moment since it was
// asked for (hard-cases 9).
func TestOvertaken(t *testing.T) {
	t.Parallel()
	w := &Writeback{touched: newTouched()}
	say := func(l Listing, key string, want bool) {
		t.Helper()
		if got := l.Overtaken(key); got != want {
			t.Errorf("overtaken at %q: %t", key, got)
		}
	}
	w.touched.begin("before")
	w.touched.end("before")
	w.touched.begin("across")
	one := w.BeginListing()
	say(one, "before", false)
	say(one, "across", true)
	say(one, "other", false)
	w.touched.end("across")
	say(one, "across", true)
	two := w.BeginListing()
	say(two, "across", false)
	w.touched.begin("twice")
	w.touched.begin("twice")
	w.touched.end("twice")
	say(two, "twice", true)
	w.touched.end("twice")
	one.End()
	say(two, "twice", true)
	three := w.BeginListing()
	say(three, "twice", false)
	two.End()
	three.End()
	if len(w.touched.ended)+len(w.touched.underway)+len(w.touched.listings) != 0 {
		t.Errorf("something is remembered for nobody: %+v", w.touched)
	}
}
