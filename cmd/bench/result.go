package main

import (
	"runtime"
	"slices"
)

// measurement is one phase of a row, once on one side.
type measurement struct {
	returned float64 // seconds
	bucket   float64 // seconds until all was in the bucket; 0 if that was not measured
	ops      int     // operations, where the result is how many there were in a second
	during   machine // what all processors did until it returned
	spent    spent   // until it returned
	whole    spent   // until all was measured
	peak     int64   // bytes that the driver had resident at most
	traffic  traffic
}

// result is what was measured of a row.
type result struct {
	row        row
	processors int
	sides      []map[string][]measurement // of each phase, by side
	want       []manifest                 // what the bucket should have after each phase
	bad        map[string]bool            // sides of which something could not be measured
	slow       map[string]int             // the phase that a peer did not do in its time; -1 is before the first
}

func newResult(r row) result {
	res := result{row: r, processors: runtime.NumCPU(), bad: map[string]bool{}, slow: map[string]int{}, want: make([]manifest, len(r.phases))}
	for range r.phases {
		res.sides = append(res.sides, map[string][]measurement{})
	}
	return res
}

func (r *result) add(phase int, side string, m measurement) {
	r.sides[phase][side] = append(r.sides[phase][side], m)
}

func (r *result) fail(side string) { r.bad[side] = true }

// line is what the table shows of a phase: one value of each side.
type line struct {
	name    string
	phase   int
	sides   map[string][]measurement
	bad     map[string]bool
	slow    map[string]int
	value   func(measurement) float64
	ops     bool // the value is a rate: more is better
	bucket  bool // it ends when all is in the bucket
	store   bool // what it waits for is in the store
	targets []target

	processors int
}

func returnedOf(m measurement) float64 { return m.returned }
func bucketOf(m measurement) float64   { return m.bucket }
func rateOf(m measurement) float64     { return float64(m.ops) / m.returned }

// alone is the least that it can have taken until it returned, had nobody else used the processors:
// what others had of them, or the host took, is as good as if it had been free. Nobody is
// quicker than the processors for what it spent.
func (m measurement) alone(processors int) float64 {
	others := max(0, m.during.Busy-m.spent.sum()) + m.during.Stolen
	return max(m.returned-others/float64(processors), min(m.returned, m.spent.sum()/float64(processors)))
}

func programCPU(m measurement) float64    { return m.whole.program }
func filesystemCPU(m measurement) float64 { return m.whole.filesystem }

// lines are those of the table, in order.
func (r *result) lines() []line {
	var lines []line
	for i, p := range r.row.phases {
		if p.setup {
			continue
		}
		name := r.row.name
		if p.name != "" {
			name += ", " + p.name
		}
		l := line{name: name, phase: i, sides: r.sides[i], bad: r.bad, slow: r.slow, value: returnedOf, targets: p.targets, processors: r.processors}
		l.store = p.client != "" && !p.await
		if rate(r.sides[i]) {
			l.name, l.value, l.ops = name+", IOPS", rateOf, true
		}
		if !p.await {
			lines = append(lines, l)
			continue
		}
		l.name = name + ", returned"
		safe := l
		safe.bucket, safe.store = true, p.client != ""
		safe.name, safe.value, safe.targets = name+", in the bucket", bucketOf, p.bucket
		lines = append(lines, l, safe)
	}
	return lines
}

// rate reports whether operations were counted.
func rate(sides map[string][]measurement) bool {
	for _, all := range sides {
		if len(all) > 0 && all[0].ops > 0 {
			return true
		}
	}
	return false
}

// median of a side; ok is false if it has none.
func (l line) median(side string, value func(measurement) float64) (m float64, ok bool) {
	var values []float64
	for _, m := range l.sides[side] {
		values = append(values, value(m))
	}
	if len(values) == 0 {
		return 0, false
	}
	return median(values), true
}

// median is the middle one, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratio is objvol's median, of one side's.
func (l line) ratio(side string) (float64, bool) {
	ours, ok := l.median(objvolName, l.value)
	theirs, ok2 := l.median(side, l.value)
	return ours / theirs, ok && ok2 && theirs > 0
}

// verdict compares objvol with a target; false if one of the two was not measured.
func (l line) verdict(t target) (verdict, bool) {
	v := verdict{target: t, bound: l.boundOf(t.of)}
	if together, ok := l.median(togetherName, returnedOf); ok && l.store {
		v.beside = l.inMeasure(together, t.of)
	}
	ok := false
	switch t.of {
	case local:
		v.value, ok = l.ratio(localName)
		v.least = l.ops
	case raw:
		v.value, ok = l.ratio(clientName)
		v.least = l.ops
	case seconds:
		v.value, ok = l.median(objvolName, l.value)
	case lag:
		v.value, ok = l.median(objvolName, func(m measurement) float64 { return m.bucket - m.returned })
	case cpu:
		ours, ok1 := l.median(objvolName, filesystemCPU)
		theirs, ok2 := l.median(clientName, programCPU)
		v.value, ok = ours/theirs, ok1 && ok2 && theirs > 0
	case fetched:
		v.value, ok = l.median(objvolName, func(m measurement) float64 {
			return float64(m.traffic.sent) / float64(m.ops) / pageSize
		})
	}
	return v, ok
}
