package main

import (
	"strings"
	"testing"
)

// bounded is a line that waits for the store, on two processors.
func bounded(t *testing.T, p phase, sides map[string]measurement) line {
	t.Helper()
	p.client = "some"
	res := newResult(row{name: "work", phases: []phase{p}})
	res.processors = 2
	for side, m := range sides {
		res.add(0, side, m)
	}
	return res.lines()[0]
}

func took(seconds, program, filesystem, store float64) measurement {
	return measurement{returned: seconds, whole: spent{program: program, filesystem: filesystem, store: store}}
}

func TestBound(t *testing.T) {
	t.Parallel()
	floor, client := took(1, 0.5, 1.5, 0), took(2, 1, 0, 2)
	for name, c := range map[string]struct {
		sides map[string]measurement
		want  bound
	}{
		"processors":            {map[string]measurement{floorName: floor, clientName: client}, bound{2.5, "CPU"}},
		"the client waits":      {map[string]measurement{floorName: floor, clientName: took(4, 1, 0, 2)}, bound{4, "client"}},
		"a better client":       {map[string]measurement{floorName: floor, clientName: took(9, 1, 0, 9), bestName: took(3, 1, 0, 1)}, bound{3, "client"}},
		"quicker beside others": {map[string]measurement{floorName: floor, clientName: took(4, 1, 0, 2), togetherName: took(3, 2, 1, 2)}, bound{3, "client"}},
	} {
		if got, ok := bounded(t, phase{}, c.sides).bound(); !ok || got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, side := range []string{floorName, clientName} {
		if _, ok := bounded(t, phase{}, map[string]measurement{side: client}).bound(); ok {
			t.Errorf("a bound of %s alone", side)
		}
	}
}

// TestAlone takes away what others had, and no more than what it could do without.
func TestAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    measurement
		want float64
	}{
		"nobody else":    {measurement{returned: 3, spent: spent{program: 2}, during: machine{Busy: 2, Idle: 4}}, 3},
		"others":         {measurement{returned: 3, spent: spent{program: 2, store: 1}, during: machine{Busy: 4, Idle: 2}}, 2.5},
		"the host":       {measurement{returned: 3, spent: spent{program: 2}, during: machine{Busy: 2, Idle: 2, Stolen: 2}}, 2},
		"others have it": {measurement{returned: 3, spent: spent{program: 2, store: 2}, during: machine{Busy: 9}}, 2},
		"too short":      {measurement{returned: 0.001, spent: spent{program: 0.01}, during: machine{Busy: 0.02}}, 0.001},
	} {
		if got := c.m.alone(2); got != c.want {
			t.Errorf("%s: %v s, want %v", name, got, c.want)
		}
	}
}

// TestBoundNeedsTheStore has what returns before it is in the bucket bounded by FUSE alone.
func TestBoundNeedsTheStore(t *testing.T) {
	t.Parallel()
	res := newResult(row{phases: []phase{{client: "some", await: true}}})
	res.add(0, floorName, took(1, 1, 1, 0))
	res.add(0, clientName, took(3, 1, 0, 1))
	lines := res.lines()
	if b, ok := lines[0].bound(); !ok || b != (bound{1, "FUSE alone"}) {
		t.Errorf("returned: %v", b)
	}
	if b, ok := lines[1].bound(); !ok || b != (bound{3, "client"}) {
		t.Errorf("in the bucket: %v", b)
	}
}

func TestVerdictOfBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ours, beside, store float64 // seconds
		target              target
		want                string
	}{
		{2.4, 3, 2, target{raw, 1.3}, "1.20 (≤ 1.3, met)"},
		{3.2, 3, 2, target{raw, 1.3}, "1.60 (≤ 1.3, **missed**; side by side 1.50)"},
		{3.2, 2.5, 2, target{raw, 1.3}, "1.60 (≤ 1.3, **missed**)"},
		{3.2, 3.6, 4, target{raw, 1.3}, "1.60 (≤ 1.3, out of reach here: the bound is 1.50)"},
		{2.8, 3.6, 4, target{raw, 1.3}, "1.40 (≤ 1.3, **missed**; better than the bound of 1.50)"}, // which is none
		{3.2, 3, 4, target{seconds, 2}, "3.20 s (≤ 2, out of reach here: the bound is 3.00)"},
		{3.2, 3, 4, target{cpu, 1.2}, "3.00 x CPU (≤ 1.2, out of reach here: the bound is 1.50)"},
	} {
		v, ok := bounded(t, phase{}, map[string]measurement{
			floorName: took(1, 0.5, 0.5, 0), clientName: took(2, 1, 0, c.store),
			objvolName: took(c.ours, 1, 3, 4), togetherName: took(c.beside, 0, 0, 0),
		}).verdict(c.target)
		if !ok || v.String() != c.want {
			t.Errorf("%v: %s, want %s", c, v, c.want)
		}
	}
}

func TestBoundsTable(t *testing.T) {
	t.Parallel()
	res := newResult(row{name: "work", phases: []phase{{client: "some"}}})
	res.processors = 2
	for side, m := range map[string]measurement{
		floorName: took(1, 0.5, 1.5, 0), clientName: took(2, 1, 0, 3), togetherName: took(3.2, 0, 0, 0), objvolName: took(4, 1, 3, 4),
	} {
		m.spent = m.whole
		if side == objvolName {
			m.spent.machine = machine{Busy: 9, Idle: 2, Stolen: 1}
		}
		res.add(0, side, m)
	}
	alone := newResult(row{name: "not at once", phases: res.row.phases})
	alone.processors = 2
	for _, side := range []string{floorName, clientName, objvolName} {
		alone.sides[0][side] = res.sides[0][side]
	}
	var out strings.Builder
	writeBounds(&out, []result{res, alone})
	writeSpent(&out, []result{res})
	want := `| seconds | CPU: program + fuse | CPU: client + store | bound | by | side by side | objvol | / bound | / side by side | objvol's CPU | / CPU of both |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| work | 2.00 | 4.00 | 3.00 | CPU | 3.20 | 4.00 | 1.33 | 1.25 | 8.00 | 1.33 |
| not at once | 2.00 | 4.00 | 3.00 | CPU | – | 4.00 | 1.33 | – | 8.00 | 1.33 |
| CPU | program + fuse | client + store | program + objvol + store + others | idle | stolen |
| --- | ---: | ---: | ---: | ---: | ---: |
| work | 0.50 + 1.50 | 1.00 + 3.00 | 1.00 + 3.00 + 4.00 + 1.00 | 17 % | 8 % |
`
	if got := out.String(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}
