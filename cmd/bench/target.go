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
	value float64
	least bool // more is better
}

func (v verdict) met() bool {
	if v.least {
		return v.value >= v.limit
	}
	return v.value <= v.limit
}

func (v verdict) String() string {
	sign, met := "≤", "met"
	if v.least {
		sign = "≥"
	}
	if !v.met() {
		met = "**missed**"
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
