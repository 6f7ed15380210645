package cache

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestSums(t *testing.T) {
	a := bytes.Repeat([]byte("abcdefgh"), (3*SumGrain+8)/8)
	b := bytes.Clone(a)
	b[SumGrain]++
	first, err1 := Sums(bytes.NewReader(a), int64(len(a)))
	second, err2 := Sums(bytes.NewReader(b), int64(len(b)))
	if err1 != nil || err2 != nil || len(first) != 4 || len(second) != 4 {
		t.Fatalf("%d and %d sums, %v, %v", len(first), len(second), err1, err2)
	}
	for i := range first {
		if (first[i] == second[i]) != (i != 1) {
			t.Errorf("part %d: %x and %x", i, first[i], second[i])
		}
	}
	if _, err := Sums(bytes.NewReader(a), int64(len(a))+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a content that is too short: %v", err)
	}
	if none, err := Sums(bytes.NewReader(nil), 0); err != nil || len(none) != 0 {
		t.Errorf("of nothing: %v, %v", none, err)
	}
}
