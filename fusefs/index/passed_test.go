package index

import (
	"errors"
	"maps"
	"testing"
	"time"
)

func TestPassed(t *testing.T) {
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := map[Ino]Passed{
		3: {File: 1 << 60, Open: true}, 4: {File: 5},
		7: {File: 8, Open: true, Followed: time.Unix(-1, 999_999_999).UTC()},
	}
	err = x.Update(func(tx *Tx) error {
		for ino, p := range want {
			if err := tx.PutPassed(ino, p); err != nil {
				return err
			}
		}
		return errors.Join(tx.PutPassed(5, Passed{File: 6}), tx.PutPassed(6, Passed{File: 7}))
	})
	if err != nil {
		t.Fatal(err)
	}
	// It goes with its inode, and by itself.
	if err := x.Update(func(tx *Tx) error { return errors.Join(tx.DeleteInode(5), tx.DropPassed(6)) }); err != nil {
		t.Fatal(err)
	}
	got := map[Ino]Passed{}
	if err := x.AllPassed(func(ino Ino, p Passed) bool { got[ino] = p; return true }); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if p, err := x.Passed(3); err != nil || p != want[3] {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := x.Passed(5); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a deleted inode: %v", err)
	}
}
