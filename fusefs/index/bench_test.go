package index

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// filled is an index of a directory with some names, flushed to tables.
func filled(b *testing.B, names int) *Index {
	b.Helper()
	x := openTest(b)
	update(b, x, func(tx *Tx) error {
		for i := range names {
			ino := tx.NewIno()
			n := Inode{Ino: ino, Mode: 0o100644, Nlink: 1, Size: 4096, Mtime: time.Now(), Placed: fmt.Sprintf("dir/name-%d", i)}
			if err := errors.Join(tx.PutInode(n), tx.Enter(Root, fmt.Sprintf("name-%d", i), ino)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := x.db.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return x
}

// BenchmarkUpdateOfThreeKeys is the smallest change that a write notes.
func BenchmarkUpdateOfThreeKeys(b *testing.B) {
	x := filled(b, 0)
	n := Inode{Mode: 0o100644, Nlink: 1, Mtime: time.Now()}
	for i := 0; b.Loop(); i++ {
		n.Ino = Ino(i)
		update(b, x, func(tx *Tx) error {
			return errors.Join(tx.PutInode(n), tx.SetDirty(n.Ino), tx.PutContent(n.Ino, Content{File: 1}))
		})
	}
}

// BenchmarkCreate is what a new name costs, in a directory that is all known.
func BenchmarkCreate(b *testing.B) {
	x := filled(b, 0)
	dir := Inode{Ino: Root, Mode: 0o40755, Nlink: 2, Dir: &Dir{Listed: true}}
	for i := 0; b.Loop(); i++ {
		update(b, x, func(tx *Tx) error {
			ino := tx.NewIno()
			return errors.Join(
				tx.PutInode(Inode{Ino: ino, Mode: 0o100644, Nlink: 1}), tx.PutInode(dir),
				tx.Enter(Root, fmt.Sprintf("name-%d", i), ino), tx.SetDirty(ino))
		})
	}
}

// BenchmarkLookup finds a name among 100,000 that are in tables, not in memory.
func BenchmarkLookup(b *testing.B) {
	const names = 100_000
	x := filled(b, names)
	for i := 0; b.Loop(); i++ {
		if _, err := x.Lookup(Root, fmt.Sprintf("name-%d", i*7919%names)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookupOfNothing looks for names that are not there, as every program does before it creates one.
func BenchmarkLookupOfNothing(b *testing.B) {
	const names = 100_000
	x := filled(b, names)
	for i := 0; b.Loop(); i++ {
		if _, err := x.Lookup(Root, fmt.Sprintf("none-%d", i)); !errors.Is(err, ErrNotFound) {
			b.Fatal(err)
		}
	}
}

// BenchmarkInode reads an inode among 100,000 that are in tables, not in memory.
func BenchmarkInode(b *testing.B) {
	const names = 100_000
	x := filled(b, names)
	for i := 0; b.Loop(); i++ {
		// A number is an inode's and the next its cookie's.
		if _, err := x.Inode(Ino(2 + 2*(i*7919%names))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSync is what makes a change last: it waits for the disk.
func BenchmarkSync(b *testing.B) {
	x := filled(b, 0)
	for b.Loop() {
		update(b, x, func(tx *Tx) error { return tx.SetDirty(1) })
		if err := x.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkContentOfManyRanges reads the content of a file that was read here and there.
func BenchmarkContentOfManyRanges(b *testing.B) {
	x := openTest(b)
	var c Content
	for i := range int64(1000) {
		c.Fill(i*100<<10, 16<<10)
	}
	if err := x.Update(func(tx *Tx) error { return tx.PutContent(7, c) }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Content(7); err != nil {
			b.Fatal(err)
		}
	}
}
