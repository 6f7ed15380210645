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
	if len(w.touched.ended)+len(w.touched.below)+len(w.touched.underway)+len(w.touched.listings) != 0 {
		t.Errorf("something is remembered for nobody: %+v", w.touched)
	}
}

// A common prefix is no directory if it was shown by keys that a request of ours changed.
func TestOvertakenBelow(t *testing.T) {
	t.Parallel()
	w := &Writeback{touched: newTouched()}
	l := w.BeginListing()
	w.touched.begin("a/b/c/")
	w.touched.end("a/b/c/")
	for prefix, want := range map[string]bool{"a/": true, "a/b/": true, "a/b/c/": false, "a/c/": false, "b/": false} {
		if got := l.OvertakenBelow(prefix); got != want {
			t.Errorf("overtaken below %q: %t", prefix, got)
		}
	}
	later := w.BeginListing()
	if later.OvertakenBelow("a/") {
		t.Error("a later listing is overtaken")
	}
}
