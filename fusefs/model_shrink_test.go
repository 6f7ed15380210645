package fusefs_test

import (
	"slices"
	"testing"
	"time"
)

// shrink returns a part of a failing program that still fails, and that fails no more
// without any of its steps, as far as the time goes.
func shrink(program []string, limit time.Duration, fails func([]string) bool) []string {
	end := time.Now().Add(limit)
	for size := (len(program) + 1) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(program); {
			if time.Now().After(end) {
				return program
			}
			without := slices.Delete(slices.Clone(program), at, min(at+size, len(program)))
			if fails(without) {
				program, smaller = without, true
			} else {
				at += size
			}
		}
		if size > 1 || !smaller {
			size /= 2
		}
	}
	return program
}

func TestShrink(t *testing.T) {
	var program []string
	for i := range 100 {
		program = append(program, string(rune('0'+i)))
	}
	needed := []string{program[3], program[50], program[97]}
	tries := 0
	got := shrink(program, time.Minute, func(p []string) bool {
		tries++
		return !slices.ContainsFunc(needed, func(s string) bool { return !slices.Contains(p, s) })
	})
	if !slices.Equal(got, needed) || tries > 100 {
		t.Errorf("%q are left after %d tries", got, tries)
	}
}
