package vfs

import (
	"bytes"
	"reflect"
	"testing"

	"objvol/fusefs/cache"
	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// TestAddSame: what is the same is found by parts, also where one content is longer, and a
// last part that is shorter is not the same as a whole one.
func TestAddSame(t *testing.T) {
	const grain = cache.SumGrain
	old := bytes.Repeat([]byte("x"), 4*grain+10)
	sums := func(content []byte) index.Sums {
		s, err := sumsOf(bytes.NewReader(content), index.Inode{Size: int64(len(content))}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	changed := bytes.Clone(old)
	changed[grain+5]++
	for name, c := range map[string]struct {
		now  []byte
		same []extent.Range
	}{
		"equal":   {old, []extent.Range{{Off: 0, End: 4*grain + 10}}},
		"changed": {changed, []extent.Range{{Off: 0, End: grain}, {Off: 2 * grain, End: 4*grain + 10}}},
		"shorter": {old[:2*grain+1], []extent.Range{{Off: 0, End: 2 * grain}}},
		"longer":  {append(bytes.Clone(old), old...), []extent.Range{{Off: 0, End: 4 * grain}}},
		"empty":   {nil, nil},
	} {
		var same extent.Set
		addSame(&same, sums(old), sums(c.now))
		if got := same.Ranges(); len(got) != len(c.same) || len(got) > 0 && !reflect.DeepEqual(got, c.same) {
			t.Errorf("%s: %v, want %v", name, got, c.same)
		}
	}
}
