package index

import (
	"fmt"
	"reflect"
	"testing"
)

// TestEnterNew: it leaves the records that NewIno, PutInode and Enter leave.
func TestEnterNew(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		for i := range 3 {
			n := Inode{Ino: tx.NewIno(), Mode: 0o644, Nlink: 1, Size: int64(i)}
			if i == 2 {
				n.Dir = &Dir{}
			}
			if err := tx.EnterNew(Root, fmt.Sprint("name", i), n); err != nil {
				return err
			}
		}
		return nil
	})
	var names []Dirent
	if err := x.Dirents(Root, 0, func(d Dirent) bool { names = append(names, d); return true }); err != nil || len(names) != 3 {
		t.Fatalf("names %+v, %v", names, err)
	}
	for i, d := range names {
		n, err := x.Inode(d.Ino)
		if err != nil || n.Size != int64(i) || d.Name != fmt.Sprint("name", i) {
			t.Errorf("inode %+v of %q, %v", n, d.Name, err)
		}
		if e, err := x.Entry(Root, d.Name); err != nil || e != d {
			t.Errorf("entry %+v, %v", e, err)
		}
		if at, err := x.Names(d.Ino); err != nil || !reflect.DeepEqual(at, []Name{{Root, d.Name}}) {
			t.Errorf("names of %d: %+v, %v", d.Ino, at, err)
		}
	}
	if n, err := x.Subdirs(Root); err != nil || n != 1 {
		t.Errorf("%d directories, %v", n, err)
	}
}

// TestVacant: what is there is found, up to both ends and not beyond.
func TestVacant(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		return tx.EnterNew(Root, "m", Inode{Ino: tx.NewIno(), Nlink: 1})
	})
	update(t, x, func(tx *Tx) error { return tx.PutKey(Key{Key: "k/m"}) })
	update(t, x, func(tx *Tx) error { return tx.Doom("k/x") })
	names := func(first, last string) bool {
		ok, err := x.VacantNames(Root, first, last)
		return ok && err == nil
	}
	keys := func(first, last string) bool {
		ok, err := x.VacantKeys(first, last)
		return ok && err == nil
	}
	if names("a", "m") || names("m", "z") || names("m", "m") || !names("a", "l") || !names("ma", "z") {
		t.Error("names")
	}
	if keys("k/a", "k/m") || keys("k/m", "k/n") || keys("k/w", "k/x") || !keys("k/n", "k/w") || !keys("k/xa", "l") {
		t.Error("keys")
	}
}
