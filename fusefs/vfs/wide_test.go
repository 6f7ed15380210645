package vfs

import "testing"

// TestWide: with each request that was paid for the next one brings more, at most what a
// request is worth, and all of them together at most what they are worth.
func TestWide(t *testing.T) {
	for _, size := range []int64{0, 5 << 20, 128 << 20, 1 << 30, 100 << 30} {
		last, sum, absent := int64(0), int64(0), size
		for requests := int64(0); absent > 0; requests++ {
			w := wide(worthMost, requests, absent)
			if w < last || w > worthMost {
				t.Fatalf("%d bytes, request %d: %d bytes after %d", size, requests, w, last)
			}
			if sum += w; sum > requests*worthMost {
				t.Fatalf("%d bytes: %d requests bring %d", size, requests, sum)
			}
			if spent := requests * worthMost; spent < size/16 && sum > size/64 {
				t.Fatalf("%d bytes: %d requests bring %d already", size, requests, sum)
			}
			if requests*worthMost > 4*size {
				t.Fatalf("%d bytes: %d are absent after %d requests", size, absent, requests)
			}
			last, absent = w, absent-w
		}
	}
}

// TestWhatWasGivenUpIsPaidAnew: requests count for the content file that they filled.
func TestWhatWasGivenUpIsPaidAnew(t *testing.T) {
	var s scattered
	for i, file := range []uint64{0, 0, 7, 7} {
		if n := s.paid(file); n != int64(i) {
			t.Errorf("%d requests were paid for before request %d", n, i)
		}
		s.pay()
	}
	if n := s.paid(0); n != 0 {
		t.Errorf("%d requests count for a file that was given up", n)
	}
}

// TestWorth: what came slowly makes a request worth less at once, what came quickly makes it
// worth more bit by bit, within bounds.
func TestWorth(t *testing.T) {
	var w worth
	for _, step := range []struct{ bytes, want int64 }{
		{100 << 20, worthMost}, {1 << 20, 1 << 20}, {3 << 20, 2 << 20}, {0, worthLeast}, {100 << 20, (worthLeast + worthMost) / 2},
	} {
		if w.came(step.bytes, requestTime); w.bytes() != step.want {
			t.Errorf("after %d bytes in the time of a request it is worth %d, want %d", step.bytes, w.bytes(), step.want)
		}
	}
}
