package index

import (
	"errors"
	"math/rand/v2"
	"testing"

	"objvol/fusefs/extent"
)

// TestContentsOfManyRanges: what is remembered of a content is what was committed last,
// whatever became of transactions that failed and of contents that were handed out.
func TestContentsOfManyRanges(t *testing.T) {
	x := openTest(t)
	r := rand.New(rand.NewPCG(1, 2))
	want := map[Ino]*extent.Set{}
	for ino := Ino(1); ino <= seenFiles+2; ino++ {
		want[ino] = new(extent.Set)
	}
	failed := errors.New("failed")
	for range 3000 {
		ino := Ino(1 + r.IntN(len(want)))
		off := r.Int64N(4000) * 10
		add, fails := r.IntN(4) > 0, r.IntN(4) == 0
		err := x.Update(func(tx *Tx) error {
			c, err := tx.Content(ino)
			if err != nil {
				return err
			}
			if add {
				c.Fill(off, 5)
			} else {
				c.Resident.Remove(off, 100)
			}
			if err := tx.PutContent(ino, c); err != nil {
				return err
			}
			if again, err := tx.Content(ino); err != nil || !again.Resident.Equal(c.Resident) {
				t.Fatalf("inode %d is not read as it was written: %v", ino, err)
			}
			c.Fill(1_000_000, 1) // after it was put
			if fails {
				return failed
			}
			return nil
		})
		if err != nil && !errors.Is(err, failed) {
			t.Fatal(err)
		}
		if !fails && add {
			want[ino].Add(off, 5)
		} else if !fails {
			want[ino].Remove(off, 100)
		}
		for range 2 {
			c, err := x.Content(ino)
			if err != nil || !c.Resident.Equal(*want[ino]) {
				t.Fatalf("inode %d has other ranges than were committed: %v", ino, err)
			}
			c.Fill(2_000_000, 1) // of a copy
		}
	}
	if n := len(x.seen.of); n == 0 || n > seenFiles {
		t.Errorf("%d contents are remembered", n)
	}
}
