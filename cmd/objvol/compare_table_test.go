package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// side is one of the things that are compared.
type side int

const (
	sideLocal side = iota
	sideClient
	sideVolume
	sides
)

// comparison is what was measured so far.
type comparison struct {
	rows []string // in the order of the first measurement
	took map[string]*[sides][]time.Duration
	peak []int64 // bytes that a driver had in memory at most
}

// add notes one measurement; a row without a name is not shown.
func (c *comparison) add(row string, on side, took time.Duration) {
	if row == "" {
		return
	}
	if c.took == nil {
		c.took = map[string]*[sides][]time.Duration{}
	}
	if c.took[row] == nil {
		c.rows, c.took[row] = append(c.rows, row), &[sides][]time.Duration{}
	}
	c.took[row][on] = append(c.took[row][on], took)
}

// addWrite notes when a write returned, and when all of it was safe.
func (c *comparison) addWrite(w write, on side, returned, safe time.Duration) {
	if w.row == "" {
		return
	}
	if w.synced {
		c.add(w.row, on, returned)
		return
	}
	c.add(w.row+", returned", on, returned)
	c.add(w.row+", in the bucket", on, safe)
}

// table shows the medians.
func (c *comparison) table() string {
	var b strings.Builder
	line := func(cells ...string) {
		fmt.Fprintf(&b, "%-46s %9s %9s %9s %9s %9s\n", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5])
	}
	line("", "local", "client", "objvol", "/local", "/client")
	for _, row := range c.rows {
		took := c.took[row]
		line(row,
			seconds(took[sideLocal]), seconds(took[sideClient]), seconds(took[sideVolume]),
			ratio(took[sideVolume], took[sideLocal]), ratio(took[sideVolume], took[sideClient]))
	}
	if len(c.peak) > 0 {
		fmt.Fprintf(&b, "\nThe driver had at most %d MiB in memory.\n", slices.Max(c.peak)>>20)
	}
	return b.String()
}

func seconds(took []time.Duration) string {
	if len(took) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", median(took).Seconds())
}

func ratio(a, b []time.Duration) string {
	if len(a) == 0 || len(b) == 0 || median(b) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", median(a).Seconds()/median(b).Seconds())
}

// median is the middle one, or the mean of the two in the middle.
func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func TestComparisonTable(t *testing.T) {
	t.Parallel()
	var c comparison
	for i, took := range []time.Duration{9 * time.Second, time.Second, 2 * time.Second} {
		c.add("read", sideLocal, took)
		c.add("read", sideVolume, 2*took)
		c.peak = append(c.peak, int64(i+1)<<20)
	}
	c.addWrite(write{row: "write"}, sideLocal, time.Second, 2*time.Second)
	c.addWrite(write{row: "write"}, sideClient, 4*time.Second, 4*time.Second)
	c.addWrite(write{row: "write"}, sideVolume, time.Second, 8*time.Second)
	c.addWrite(write{row: "fsync", synced: true}, sideVolume, time.Second, time.Minute)
	c.addWrite(write{}, sideVolume, time.Second, time.Minute)
	want := [][]string{
		{"local", "client", "objvol", "/local", "/client"},
		{"read", "2.000", "-", "4.000", "2.0", "-"},
		{"write,", "returned", "1.000", "4.000", "1.000", "1.0", "0.2"},
		{"write,", "in", "the", "bucket", "2.000", "4.000", "8.000", "4.0", "2.0"},
		{"fsync", "-", "-", "1.000", "-", "-"},
		nil,
		{"The", "driver", "had", "at", "most", "3", "MiB", "in", "memory."},
	}
	lines := strings.Split(strings.TrimSuffix(c.table(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), c.table())
	}
	for i, line := range lines {
		if got := strings.Fields(line); !slices.Equal(got, want[i]) {
			t.Errorf("%q, want %q", got, want[i])
		}
	}
}
