package main

import "testing"

func TestReadyForAPhase(t *testing.T) {
	s := sizes{Large: 1 << 20, Changed: 1 << 16}
	for work, want := range map[string]int64{"write large": 5 << 20, "read random": 5 << 20, "change a part": 5 << 16, "untar": 5 << 16} {
		if got := s.ready(phase{work: work}); got != want {
			t.Errorf("%q: %d bytes, want %d", work, got, want)
		}
	}
	if err := touch(1 << 20); err != nil {
		t.Error(err)
	}
}
