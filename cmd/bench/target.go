package main

import "fmt"

// against is what a target is a multiple of.
type against int

const (
	local   against = iota // the same in a local directory
	raw                    // the same with a raw client
	seconds                // nothing: it is a time
	lag                    // nothing: it is the time from the return until all is in the bucket
	cpu                    // the raw client's seconds of CPU
	fetched                // the bytes that were asked for
)

// target is what a row should reach: at most a limit, or at least where more is better.
type target struct {
	of    against
	limit float64
}

// memoryLimit is the target of all rows: resident bytes of the driver.
const memoryLimit = 150 << 20

// verdict is a target beside what was reached.
type verdict struct {
	target
	value  float64
	least  bool    // more is better
	bound  float64 // what no filesystem is better than; 0 is not known
	beside float64 // what FUSE and a client came to side by side; 0 is not known
}

func (v verdict) met() bool { return v.reaches(v.value, v.limit) }

// reaches reports whether a value is as good as another.
func (v verdict) reaches(value, other float64) bool {
	if v.least {
		return value >= other
	}
	return value <= other
}

// failure tells of a target that was not met: that the bound, or what FUSE and a client came
// to, does not meet it either. A bound that was beaten is none, which is told too.
func (v verdict) failure() string {
	beyond := v.bound > 0 && !v.reaches(v.bound, v.limit)
	switch {
	case beyond && v.reaches(v.bound, v.value):
		return "out of reach here: the bound is " + number(v.bound)
	case beyond:
		return "**missed**; better than the bound of " + number(v.bound)
	case v.beside > 0 && !v.reaches(v.beside, v.limit):
		return "**missed**; side by side " + number(v.beside)
	default:
		return "**missed**"
	}
}

func (v verdict) String() string {
	sign, met := "≤", "met"
	if v.least {
		sign = "≥"
	}
	if !v.met() {
		met = v.failure()
	}
	unit := ""
	switch v.of {
	case seconds:
		unit = " s"
	case lag:
		unit = " s after"
	case cpu:
		unit = " x CPU"
	case fetched:
		unit = " x bytes"
	}
	return fmt.Sprintf("%s%s (%s %g, %s)", number(v.value), unit, sign, v.limit, met)
}
