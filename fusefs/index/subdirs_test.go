package index

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// Names of directories count in the directory that they are in, wherever they go.
func TestSubdirs(t *testing.T) {
	x := openTest(t)
	dir, file, other := Inode{Ino: 1e3, Nlink: 1, Dir: &Dir{}}, Inode{Ino: 1e4, Nlink: 1}, Inode{Ino: 1e5, Nlink: 1, Dir: &Dir{}}
	for _, s := range []struct {
		what            string
		do              func(tx *Tx) error
		inRoot, inOther uint64
	}{
		{"inodes without names", func(tx *Tx) error {
			return errors.Join(tx.PutInode(dir), tx.PutInode(file), tx.PutInode(other))
		}, 0, 0},
		{"a directory, a file and nothing known", func(tx *Tx) error {
			return errors.Join(tx.Enter(Root, "d", dir.Ino), tx.Enter(Root, "f", file.Ino), tx.Enter(Root, "?", 1e6))
		}, 1, 0},
		{"the same again", func(tx *Tx) error { return tx.Enter(Root, "d", dir.Ino) }, 1, 0},
		{"a second one", func(tx *Tx) error { return tx.Enter(Root, "o", other.Ino) }, 2, 0},
		{"moved", func(tx *Tx) error {
			return errors.Join(tx.Remove(Root, "d"), tx.Enter(other.Ino, "d", dir.Ino))
		}, 1, 1},
		{"exchanged with a file", func(tx *Tx) error {
			return errors.Join(tx.Enter(other.Ino, "d", file.Ino), tx.Enter(Root, "f", dir.Ino))
		}, 2, 0},
		{"removed", func(tx *Tx) error { return errors.Join(tx.Remove(Root, "f"), tx.Remove(Root, "?")) }, 1, 0},
	} {
		update(t, x, s.do)
		for ino, want := range map[Ino]uint64{Root: s.inRoot, other.Ino: s.inOther} {
			if got, err := x.Subdirs(ino); err != nil || got != want {
				t.Errorf("%s: %d directories in %d, %v, want %d", s.what, got, ino, err, want)
			}
		}
	}
}

// An index of the first schema has no counts: they are made when it is opened.
func TestSubdirsAreCountedInAnOldIndex(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	update(t, x, func(tx *Tx) error {
		for name, n := range map[string]Inode{"a": {Dir: &Dir{}}, "b": {Dir: &Dir{}}, "f": {}} {
			n.Ino, n.Nlink = tx.NewIno(), 1
			if err := errors.Join(tx.PutInode(n), tx.Enter(Root, name, n.Ino)); err != nil {
				return err
			}
		}
		return tx.drop(inoKey(tagSubdirs, Root))
	})
	if err := x.db.Set(schemaKey, binary.AppendUvarint(nil, 1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to be counted
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if x, err = Open(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if got, err := x.Subdirs(Root); err != nil || got != 2 {
			t.Errorf("%d directories, %v, want 2", got, err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
