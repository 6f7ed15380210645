package index

import (
	"errors"
	"reflect"
	"testing"
)

func TestSums(t *testing.T) {
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := Sums{Gen: 1 << 40, Size: 5 << 30, Sums: []byte("0123456789abcdef")}
	if err := x.Update(func(tx *Tx) error { return tx.PutSums(3, want) }); err != nil {
		t.Fatal(err)
	}
	if got, err := x.Sums(3); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if err := x.Update(func(tx *Tx) error { return tx.DeleteInode(3) }); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Sums(3); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a deleted inode: %v", err)
	}
}
