package index

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// reads is what both an Index and a Tx answer.
type reads interface {
	Inode(Ino) (Inode, error)
	Lookup(Ino, string) (Ino, error)
	Dirents(Ino, uint64, func(Dirent) bool) error
	Empty(Ino) (bool, error)
	Subdirs(Ino) (uint64, error)
	Names(Ino) ([]Name, error)
	Content(Ino) (Content, error)
	Contents(func(Ino, Content) bool) error
	Key(string) (Key, bool, error)
	Keys(string, func(Key) bool) error
	Dirty(func(Ino) bool) error
	IsDirty(Ino) (bool, error)
	Doomed(func(string) bool) error
	IsDoomed(string) (bool, error)
	Orphans(func(Ino) bool) error
	Subtrees(func(Ino) bool) error
	Meta(string) ([]byte, error)
}

var (
	_ reads = (*Index)(nil)
	_ reads = (*Tx)(nil)
)

// all collects what a walk gives.
func all[T any](tb testing.TB, walk func(func(T) bool) error) []T {
	tb.Helper()
	var got []T
	if err := walk(func(v T) bool { got = append(got, v); return true }); err != nil {
		tb.Fatal(err)
	}
	return got
}

func dirents(tb testing.TB, r reads, parent Ino, after uint64) []Dirent {
	tb.Helper()
	return all(tb, func(fn func(Dirent) bool) error { return r.Dirents(parent, after, fn) })
}

func names(ds []Dirent) []string {
	var got []string
	for _, d := range ds {
		got = append(got, d.Name)
	}
	return got
}

func equal[T comparable](tb testing.TB, what string, got []T, want ...T) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	x := openTest(t)
	refused := errors.New("refused")
	err := x.Update(func(tx *Tx) error {
		if err := errors.Join(tx.PutInode(Inode{Ino: 5, Nlink: 1}), tx.Enter(Root, "a", 5), tx.PutMeta("m", nil)); err != nil {
			return err
		}
		if n, err := tx.Inode(5); err != nil || n.Nlink != 1 {
			t.Errorf("a transaction does not read its own write: %+v, %v", n, err)
		}
		if _, err := x.Inode(5); !errors.Is(err, ErrNotFound) {
			t.Errorf("a write is seen before its transaction is kept: %v", err)
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	if _, err := x.Inode(5); !errors.Is(err, ErrNotFound) {
		t.Errorf("a discarded inode is there: %v", err)
	}
	if _, err := x.Lookup(Root, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a discarded name is there: %v", err)
	}
	if _, err := x.Meta("m"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a discarded value is there: %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = x.Update(func(*Tx) error { panic("in a transaction") })
	}()
	update(t, x, func(*Tx) error { return nil }) // a panic did not leave the lock behind
}

func TestInodesAndOrphans(t *testing.T) {
	x := openTest(t)
	want := Inode{Ino: 9, Mode: 0o40755, Nlink: 2, Mtime: time.Unix(-5, 7).UTC(), Dir: &Dir{Listed: true}}
	update(t, x, func(tx *Tx) error { return errors.Join(tx.PutInode(want), tx.PutContent(9, Content{File: 3})) })
	got, err := x.Inode(9)
	same(t, want, got, err)
	equal(t, "orphans", all(t, x.Orphans))

	for _, nlink := range []uint32{0, 0, 1, 0} {
		want.Nlink = nlink
		update(t, x, func(tx *Tx) error { return tx.PutInode(want) })
		var orphans []Ino
		if nlink == 0 {
			orphans = []Ino{9}
		}
		equal(t, fmt.Sprintf("orphans at nlink %d", nlink), all(t, x.Orphans), orphans...)
	}
	update(t, x, func(tx *Tx) error { return tx.DeleteInode(9) })
	if _, err := x.Inode(9); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted inode is there: %v", err)
	}
	if c, err := x.Content(9); err != nil || c.File != 0 {
		t.Errorf("the content of a deleted inode is there: %+v, %v", c, err)
	}
	equal(t, "orphans after deletion", all(t, x.Orphans))
}

func TestContents(t *testing.T) {
	x := openTest(t)
	var c Content
	c.File, c.BaseLen = 4, 1<<40
	c.Resident.Add(4096, 1<<20)
	update(t, x, func(tx *Tx) error { return errors.Join(tx.PutContent(300, c), tx.PutContent(2, Content{File: 1})) })
	got, err := x.Content(300)
	same(t, c, got, err)
	var inos []Ino
	err = x.Contents(func(ino Ino, c Content) bool { inos = append(inos, ino); return c.File != 4 })
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "inodes with content", inos, 2, 300)
}

func TestNames(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		return errors.Join(tx.Enter(Root, "b", 5), tx.Enter(Root, "a", 6), tx.Enter(7, "\xff\x00b", 5))
	})
	if ino, err := x.Lookup(Root, "b"); err != nil || ino != 5 {
		t.Fatalf("got %d, %v", ino, err)
	}
	if _, err := x.Lookup(7, "b"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	got, err := x.Names(5)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "names of 5", got, Name{Root, "b"}, Name{7, "\xff\x00b"})
	equal(t, "names in the root", names(dirents(t, x, Root, 0)), "b", "a")

	if err := x.Update(func(tx *Tx) error { return tx.Remove(Root, "c") }); !errors.Is(err, ErrNotFound) {
		t.Fatalf("removing what is not there: %v", err)
	}
	update(t, x, func(tx *Tx) error { return errors.Join(tx.Remove(Root, "b"), tx.Remove(Root, "a")) })
	got, err = x.Names(5)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "names of 5", got, Name{7, "\xff\x00b"})
	for parent, want := range map[Ino]bool{Root: true, 7: false, 8: true} {
		if empty, err := x.Empty(parent); err != nil || empty != want {
			t.Errorf("directory %d empty: got %v, %v", parent, empty, err)
		}
	}
}

// A reader of a directory goes on from a cookie while names come, go and are renamed over
// others. It sees every name that stays exactly once.
func TestReadingADirectoryWhileItChanges(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		for i := range 10 {
			if err := tx.Enter(Root, fmt.Sprint(i), Ino(100+i)); err != nil {
				return err
			}
		}
		return nil
	})
	before := dirents(t, x, Root, 0)
	equal(t, "at first", names(before), "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	if before[0].Cookie < 3 {
		t.Fatalf("the first cookie is %d, which a reader may need for itself", before[0].Cookie)
	}
	seen, at := names(before[:5]), before[4].Cookie
	update(t, x, func(tx *Tx) error {
		return errors.Join(
			tx.Remove(Root, "4"),                           // where the reader stands
			tx.Remove(Root, "7"),                           // ahead of it
			tx.Remove(Root, "9"), tx.Enter(Root, "2", 109), // rename over a name that was read
			tx.Remove(Root, "0"), tx.Enter(Root, "8", 100), // and over one that was not
			tx.Enter(Root, "5", 105), tx.Enter(Root, "new", 9)) // no change, and a new name
	})
	rest := dirents(t, x, Root, at)
	equal(t, "the rest", names(rest), "5", "6", "8", "new")
	if rest[2].Ino != 100 {
		t.Errorf("a name that was renamed over stands for %d", rest[2].Ino)
	}
	seen = append(seen, names(rest)...)
	slices.Sort(seen)
	if len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("seen twice: %v", seen)
	}
	last := rest[3].Cookie
	update(t, x, func(tx *Tx) error { return errors.Join(tx.Remove(Root, "new"), tx.Enter(Root, "newer", 9)) })
	if ds := dirents(t, x, Root, last); len(ds) != 1 || ds[0].Name != "newer" {
		t.Errorf("the cookie of the last name was used again: %v", ds)
	}
	equal(t, "behind all cookies", dirents(t, x, Root, 1<<64-1))
}

// The three records of a name agree, whatever happens.
func TestNamesAgainstModel(t *testing.T) {
	x := openTest(t)
	rng := rand.New(rand.NewPCG(3, 3))
	model := map[Name]Ino{}
	for range 150 {
		update(t, x, func(tx *Tx) error {
			for range 1 + rng.IntN(4) {
				at := Name{Ino(1 + rng.IntN(3)), string(rune('a' + rng.IntN(8)))}
				if rng.IntN(3) > 0 {
					ino := Ino(10 + rng.IntN(6))
					if err := tx.Enter(at.Parent, at.Name, ino); err != nil {
						return err
					}
					model[at] = ino
				} else if _, there := model[at]; there {
					if err := tx.Remove(at.Parent, at.Name); err != nil {
						return err
					}
					delete(model, at)
				}
			}
			agree(t, tx, model)
			return nil
		})
		agree(t, x, model)
	}
}

func agree(t *testing.T, r reads, model map[Name]Ino) {
	t.Helper()
	read := map[Name]Ino{}
	for parent := Ino(1); parent <= 3; parent++ {
		for _, d := range dirents(t, r, parent, 0) {
			read[Name{parent, d.Name}] = d.Ino
		}
	}
	if !maps.Equal(read, model) {
		t.Fatalf("directories: got %v, want %v", read, model)
	}
	back := map[Name]Ino{}
	for ino := Ino(10); ino < 16; ino++ {
		ns, err := r.Names(ino)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range ns {
			back[n] = ino
		}
	}
	if !maps.Equal(back, model) {
		t.Fatalf("names: got %v, want %v", back, model)
	}
	for at, want := range model {
		if ino, err := r.Lookup(at.Parent, at.Name); err != nil || ino != want {
			t.Fatalf("lookup of %v: got %d, %v, want %d", at, ino, err, want)
		}
	}
}

func TestKeys(t *testing.T) {
	x := openTest(t)
	want := Key{Key: "a/b", ETag: "e", Size: 3, Owner: 5, Request: "nonce", Foreign: Foreign{Headers: map[string]string{"h": "v"}}}
	update(t, x, func(tx *Tx) error {
		for _, k := range []string{"a", "a/", "a/\xff", "a/\xff\xff", "a0", "b", ""} {
			if err := tx.PutKey(Key{Key: k}); err != nil {
				return err
			}
		}
		return tx.PutKey(want)
	})
	got, ok, err := x.Key("a/b")
	if !ok {
		t.Fatal("a key is not there")
	}
	same(t, want, got, err)
	if _, ok, err := x.Key("c"); ok || err != nil {
		t.Fatalf("an unknown key: %v, %v", ok, err)
	}
	for prefix, want := range map[string][]string{
		"":         {"", "a", "a/", "a/b", "a/\xff", "a/\xff\xff", "a0", "b"},
		"a/":       {"a/", "a/b", "a/\xff", "a/\xff\xff"},
		"a/\xff":   {"a/\xff", "a/\xff\xff"},
		"\xff\xff": nil,
	} {
		var got []string
		if err := x.Keys(prefix, func(k Key) bool { got = append(got, k.Key); return true }); err != nil {
			t.Fatal(err)
		}
		equal(t, "keys under "+prefix, got, want...)
	}
	update(t, x, func(tx *Tx) error { return tx.DeleteKey("a/b") })
	if _, ok, err := x.Key("a/b"); ok || err != nil {
		t.Fatalf("a deleted key: %v, %v", ok, err)
	}
}

func TestQueues(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		return errors.Join(
			tx.SetDirty(300), tx.SetDirty(2), tx.SetDirty(2), tx.SetDirty(4), tx.ClearDirty(4),
			tx.Doom("b"), tx.Doom("a/"), tx.Doom("c"), tx.Spare("c"),
			tx.QueueSubtree(8), tx.QueueSubtree(7), tx.UnqueueSubtree(8))
	})
	equal(t, "dirty", all(t, x.Dirty), 2, 300)
	equal(t, "doomed", all(t, x.Doomed), "a/", "b")
	equal(t, "subtrees", all(t, x.Subtrees), 7)
	for ino, want := range map[Ino]bool{2: true, 4: false, 5: false} {
		if got, err := x.IsDirty(ino); err != nil || got != want {
			t.Errorf("dirty %d: %v, %v", ino, got, err)
		}
	}
	for key, want := range map[string]bool{"b": true, "c": false, "a": false} {
		if got, err := x.IsDoomed(key); err != nil || got != want {
			t.Errorf("doomed %q: %v, %v", key, got, err)
		}
	}
}

// A walk within a transaction sees what was there when it began, and may write.
func TestWritingWithinAWalk(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error {
		for i := range 50 {
			if err := tx.SetDirty(Ino(2 * i)); err != nil {
				return err
			}
		}
		var seen int
		var failed error
		err := tx.Dirty(func(ino Ino) bool {
			seen++
			failed = errors.Join(failed, tx.ClearDirty(ino), tx.SetDirty(ino+1))
			return true
		})
		if seen != 50 {
			t.Errorf("the walk saw %d of 50", seen)
		}
		return errors.Join(err, failed)
	})
	got := all(t, x.Dirty)
	if len(got) != 50 || slices.ContainsFunc(got, func(ino Ino) bool { return ino%2 == 0 }) {
		t.Fatalf("got %v", got)
	}
}

func TestMeta(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error { return errors.Join(tx.PutMeta("boot", []byte("id")), tx.PutMeta("none", nil)) })
	if got, err := x.Meta("boot"); err != nil || string(got) != "id" {
		t.Fatalf("got %q, %v", got, err)
	}
	if got, err := x.Meta("none"); err != nil || len(got) != 0 {
		t.Fatalf("got %q, %v", got, err)
	}
	// The index's own records are out of reach.
	if _, err := x.Meta("id"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

// Of a deleted inode no record stays, whether or not it was known which there were.
func TestDeletedInodeLeavesNothing(t *testing.T) {
	x := openTest(t)
	inodes := []Inode{
		{Ino: 10, Nlink: 1, Mode: 0o100644},
		{Ino: 11, Nlink: 0, Mode: 0o100644},
		{Ino: 12, Nlink: 2, Mode: 0o40755, Dir: &Dir{}},
		{Ino: 13, Nlink: 1, Mode: 0o100644, Link: "group", Record: 14},
		{Ino: 14, Nlink: 1, Of: 13},
		{Ino: 15, Nlink: 0, Of: 13},
	}
	for _, known := range []bool{false, true} {
		update(t, x, func(tx *Tx) error {
			var err error
			for _, n := range inodes {
				err = errors.Join(err, tx.PutInode(n), tx.PutContent(n.Ino, Content{BaseLen: 1}))
				if n.Dir == nil && n.Of == 0 {
					err = errors.Join(err, tx.PutPassed(n.Ino, Passed{}), tx.PutSums(n.Ino, Sums{}))
				}
			}
			return errors.Join(err, tx.Enter(12, "sub", 12), tx.Remove(12, "sub"))
		})
		if !known {
			x.store.recent.forget(x.store.number)
		}
		update(t, x, func(tx *Tx) error {
			var err error
			for _, n := range inodes {
				err = errors.Join(err, tx.DeleteInode(n.Ino))
			}
			return err
		})
		err := x.walk([]byte{tagAbout + 1}, nil, func(key, _ []byte) (bool, error) {
			t.Errorf("known: %t: %q is left", known, key)
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
