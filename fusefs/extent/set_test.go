package extent

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const width = 96 // bytes of the model's file

// model is a set in its plainest form: one bool per byte.
type model [width]bool

func (m *model) fill(off, n int64, v bool) {
	for i := max(off, 0); i < min(off+n, width); i++ {
		m[i] = v
	}
}

// runs returns the stretches of v within n bytes from off.
func (m *model) runs(off, n int64, v bool) []Range {
	var runs []Range
	for i := max(off, 0); i < off+n; i++ {
		if (i < width && m[i]) != v {
			continue
		}
		if k := len(runs) - 1; k >= 0 && runs[k].End == i {
			runs[k].End++
		} else {
			runs = append(runs, Range{Off: i, End: i + 1})
		}
	}
	return runs
}

func (m *model) check(t *testing.T, s Set, off, n int64) {
	t.Helper()
	all := m.runs(0, width, true)
	if got := s.Ranges(); !slices.Equal(got, all) {
		t.Fatalf("ranges: got %v, want %v", got, all)
	}
	var size int64
	for _, r := range all {
		size += r.Len()
	}
	if s.Size() != size {
		t.Fatalf("size: got %d, want %d", s.Size(), size)
	}
	missing := m.runs(off, n, false)
	if got := s.Missing(off, n); !slices.Equal(got, missing) {
		t.Fatalf("missing of %v in %d+%d: got %v, want %v", all, off, n, got, missing)
	}
	if got := s.Covers(off, n); got != (len(missing) == 0) {
		t.Fatalf("covers of %v in %d+%d: got %v", all, off, n, got)
	}
	if got, want := s.Overlaps(off, n), len(m.runs(off, n, true)) > 0; got != want {
		t.Fatalf("overlaps of %v in %d+%d: got %v", all, off, n, got)
	}
	if off >= 0 && off < width {
		in, end := s.Run(off)
		want := m.runs(off, 2*width, m[off])[0].End
		if want >= width {
			want = math.MaxInt64
		}
		if in != m[off] || end != want && end != width {
			t.Fatalf("run of %v at %d: got %v up to %d, want %v up to %d", all, off, in, end, m[off], want)
		}
	}
	var blocks int64
	for i := int64(0); i < width; i += 7 {
		if len(m.runs(i, min(7, width-i), true)) > 0 {
			blocks++
		}
	}
	if got := s.Blocks(7); got != blocks {
		t.Fatalf("blocks of 7 of %v: got %d, want %d", all, got, blocks)
	}
	back, rest, err := Decode(append(s.AppendBinary(nil), "rest"...))
	if err != nil || string(rest) != "rest" || !back.Equal(s) {
		t.Fatalf("decoded %v as %v, rest %q, error %v", all, back.Ranges(), rest, err)
	}
}

func TestSetAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s Set
		var m model
		for range 60 {
			off, n := rng.Int64N(width+8)-4, rng.Int64N(24)-2
			switch rng.IntN(8) {
			case 0, 1, 2:
				n = min(n, width-off)
				s.Add(off, n)
				m.fill(off, n, true)
			case 3, 4, 5:
				s.Remove(off, n)
				m.fill(off, n, false)
			case 6:
				if rng.IntN(4) == 0 {
					s.Truncate(off)
					m.fill(max(off, 0), width, false)
				}
			case 7:
				s = s.Clone()
			}
			m.check(t, s, rng.Int64N(width+8)-4, rng.Int64N(40)-2)
		}
	}
}

func TestCloneIsIndependent(t *testing.T) {
	var s Set
	s.Add(0, 10)
	s.Add(20, 10)
	c := s.Clone()
	if !c.Equal(s) {
		t.Fatal("a clone differs from its original")
	}
	c.Add(10, 10)
	c.Remove(0, 3)
	if want := []Range{{Off: 0, End: 10}, {Off: 20, End: 30}}; !slices.Equal(s.Ranges(), want) {
		t.Fatalf("changing the clone changed the original to %v", s.Ranges())
	}
	if c.Equal(s) {
		t.Fatal("different sets are equal")
	}
}

func TestEdgesOfTheOffsets(t *testing.T) {
	var s Set
	s.Add(math.MaxInt64-10, 100) // ends at the last offset there is
	if want := []Range{{Off: math.MaxInt64 - 10, End: math.MaxInt64}}; !slices.Equal(s.Ranges(), want) {
		t.Fatalf("got %v", s.Ranges())
	}
	if !s.Overlaps(0, math.MaxInt64) || s.Covers(0, math.MaxInt64) {
		t.Fatal("wrong at the last offset")
	}
	s.Add(0, math.MaxInt64)
	if !s.Covers(math.MaxInt64-1, 1) || s.Size() != math.MaxInt64 {
		t.Fatalf("got %v", s.Ranges())
	}
	if back, _, err := Decode(s.AppendBinary(nil)); err != nil || !back.Equal(s) {
		t.Fatalf("decoded %v, error %v", back.Ranges(), err)
	}
	s.Truncate(5)
	s.Add(-3, 2) // all of it lies below 0
	s.Add(7, 0)
	s.Add(7, -1)
	if want := []Range{{Off: 0, End: 5}}; !slices.Equal(s.Ranges(), want) {
		t.Fatalf("got %v", s.Ranges())
	}
	s.Truncate(-1)
	if s.Size() != 0 {
		t.Fatalf("got %v", s.Ranges())
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":              {},
		"more ranges than can": {200, 1, 0, 1},
		"cut in a gap":         {1},
		"cut in a length":      {1, 4, 0x80},
		"empty range":          {1, 4, 0},
		"touching ranges":      {2, 0, 4, 0, 4},
		"gap beyond an offset": {1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1},
		"end beyond an offset": {1, 255, 255, 255, 255, 255, 255, 255, 255, 127, 1},
	} {
		if s, _, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %v", name, s.Ranges())
		}
	}
}

// FuzzDecode feeds Decode with anything: what it accepts is a sound set that survives
// another round.
func FuzzDecode(f *testing.F) {
	var s Set
	f.Add(s.AppendBinary(nil))
	s.Add(4096, 4096)
	s.Add(1<<40, 1<<20)
	f.Add(s.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := Decode(b)
		if err != nil {
			return
		}
		var built Set
		for _, r := range s.Ranges() {
			if r.Off < 0 || r.Len() <= 0 {
				t.Fatalf("decoded the unsound range %v", r)
			}
			built.Add(r.Off, r.Len())
		}
		if !built.Equal(s) {
			t.Fatalf("decoded %v, which is not in normal form", s.Ranges())
		}
		again, _, err := Decode(append(s.AppendBinary(nil), rest...))
		if err != nil || !again.Equal(s) {
			t.Fatalf("second round: %v, error %v", again.Ranges(), err)
		}
	})
}

// FuzzSet drives a set and the model with the same operations.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 4, 9, 1, 6, 2, 0, 40, 20})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s Set
		var m model
		for ; len(ops) >= 3; ops = ops[3:] {
			off := int64(ops[1]) % width
			n := min(int64(ops[2]), width-off)
			if ops[0]%2 == 0 {
				s.Add(off, n)
				m.fill(off, n, true)
			} else {
				s.Remove(off, n)
				m.fill(off, n, false)
			}
			m.check(t, s, off/2, n)
		}
	})
}

// TestFrozen: copies of a frozen set are independent of it and of each other.
func TestFrozen(t *testing.T) {
	var s Set
	for off := range int64(10) {
		s.Add(off*10, 5)
	}
	was := s.Clone()
	frozen := s.Frozen()
	for name, change := range map[string]func(*Set){
		"a merge":      func(s *Set) { s.Add(5, 5) },
		"an insertion": func(s *Set) { s.Add(1000, 5) },
		"a cut":        func(s *Set) { s.Remove(41, 2) },
		"a removal":    func(s *Set) { s.Remove(0, 30) },
		"a truncation": func(s *Set) { s.Truncate(17) },
	} {
		changed, direct := frozen, was.Clone()
		change(&changed)
		change(&direct)
		if !changed.Equal(direct) {
			t.Errorf("%s: %v, want %v", name, changed, direct)
		}
		change(&changed) // no longer frozen
		if !frozen.Equal(was) || !s.Equal(was) {
			t.Fatalf("%s changed the frozen set", name)
		}
	}
}
