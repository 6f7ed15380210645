package main

import (
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{3: {3}, 2: {9, 1, 2}, 2.5: {4, 1, 3, 2}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{"0.12": 0.123, "1.50": 1.5, "12.3": 12.34, "1235": 1234.6} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// example is a row with three rounds: each side takes 1, 2 and 9 times its base.
func example(r row, phase int, bases map[string]measurement) result {
	res := newResult(r)
	for side, m := range bases {
		for _, times := range []float64{9, 1, 2} {
			n := m
			n.returned, n.bucket = m.returned*times, m.bucket*times
			res.add(phase, side, n)
		}
	}
	return res
}

func TestTable(t *testing.T) {
	t.Parallel()
	write := row{name: "write", phases: []phase{
		{work: "prepare", setup: true},
		{
			await: true, targets: []target{{local, 2}},
			bucket: []target{{raw, 1.3}, {lag, 2}, {cpu, 1.5}},
		},
	}}
	wrote := example(write, 1, map[string]measurement{
		localName:  {returned: 0.5},
		floorName:  {returned: 0.8},
		clientName: {returned: 1, bucket: 1, whole: spent{program: 1}, traffic: traffic{requests: 100}},
		objvolName: {returned: 1, bucket: 1.5, whole: spent{filesystem: 1.4}, peak: 200 << 20, traffic: traffic{requests: 101}},
	})
	read := row{name: "read", phases: []phase{{name: "cold", targets: []target{{raw, 1}, {fetched, 8}}}}}
	looked := example(read, 0, map[string]measurement{
		localName:  {returned: 0.01, ops: 100},
		clientName: {returned: 1, ops: 100},
		objvolName: {returned: 2, ops: 100, peak: 20 << 20, traffic: traffic{sent: 100 * 7 * pageSize}},
	})
	looked.fail("other")
	wrote.slow["other"] = 1
	var out strings.Builder
	writeTable(&out, []result{wrote, looked}, []filesystem{{name: objvolName}, {name: "other"}})
	want := `| work | local | fuse | client | objvol | other | / local | / fuse | / client | other targets | requests | client's | peak MiB | CPU s | client's |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| write, returned | 1.00 | 1.60 | 2.00 | 2.00 | over 60 | 2.00 (≤ 2, met) | 1.25 | 1.00 | – | 101 | 100 | **200** | 1.40 | 1.00 |
| write, in the bucket | – | – | 2.00 | 3.00 | over 60 | – | – | 1.50 (≤ 1.3, **missed**) | 1.00 s after (≤ 2, met); 1.40 x CPU (≤ 1.5, met) | 101 | 100 | **200** | 1.40 | 1.00 |
| read, cold, IOPS | 5000 | – | 50 | 25 | failed | 0.01 | – | 0.50 (≥ 1, **missed**) | 7.00 x bytes (≤ 8, met) | 0 | 0 | 20 | 0.00 | 0.00 |
`
	if got := out.String(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

func TestResidentTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeResident(&out, []residentResult{
		{residentRow{name: "read", target: 0.95}, []trio{{100, 100, 50}, {100, 120, 96}, {200, 196, 196}}},
		{residentRow{name: "small"}, []trio{{100, 40, 20}}},
	})
	want := `| resident file | local | fuse | objvol | / local | spread | / fuse | spread |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| read | 100 | 120 | 96 | 0.96 (≥ 0.95, met) | 0.50 to 0.98 | 0.80 | 0.50 to 1.00 |
| small | 100 | 40 | 20 | 0.20 | 0.20 to 0.20 | 0.50 | 0.50 to 0.50 |
`
	if got := out.String(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

func TestVerdictNeedsBothSides(t *testing.T) {
	t.Parallel()
	res := example(row{phases: []phase{{}}}, 0, map[string]measurement{objvolName: {returned: 1}})
	l := res.lines()[0]
	for _, of := range []against{local, raw, cpu} {
		if v, ok := l.verdict(target{of, 1}); ok {
			t.Errorf("a verdict without the other side: %v", v)
		}
	}
	if v, ok := l.verdict(target{seconds, 2}); !ok || !v.met() {
		t.Errorf("%v, %v", v, ok)
	}
}
