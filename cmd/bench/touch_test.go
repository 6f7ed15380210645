package main

import "testing"

func TestMemoryOfAPhase(t *testing.T) {
	s := sizes{Large: 1 << 20}
	for work, want := range map[string]int64{
		"write large": 2 << 20, "read random": 2 << 20, "change a part": 2 << 20, "create small": 256 << 10, "untar": 256 << 10, "": 256 << 10,
	} {
		if got := s.memory(phase{work: work}); got != want {
			t.Errorf("%q: %d bytes, want %d", work, got, want)
		}
	}
	if err := touch(1 << 20); err != nil {
		t.Error(err)
	}
}
