package vfs

import (
	"testing"

	"objvol/fusefs/extent"
)

// TestClaimWhatWasEvicted: who lacks what a transfer under way has brought before, because it was
// evicted since, does not wait for that one, which brings it no more.
func TestClaimWhatWasEvicted(t *testing.T) {
	var ts transfers
	all := extent.Range{Off: 0, End: 100}
	first, _ := ts.claim(extent.Range{Off: 0, End: 10}, all, 1, nil)
	ts.progress(first, 50)
	if other, started := ts.claim(extent.Range{Off: 50, End: 60}, all, 1, nil); started || other != first {
		t.Errorf("what it will bring is brought by another one, from %d to %d", other.Off, other.End)
	}
	again, started := ts.claim(extent.Range{Off: 20, End: 60}, extent.Range{Off: 20, End: 100}, 1, nil)
	if !started || again.Off != 20 || again.End != 50 {
		t.Errorf("started %v from %d to %d", started, again.Off, again.End)
	}
	if other, started := ts.claim(extent.Range{Off: 20, End: 60}, all, 1, nil); started || other != again {
		t.Errorf("it is brought a third time, from %d to %d", other.Off, other.End)
	}
}
