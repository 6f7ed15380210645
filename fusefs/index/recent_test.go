package index

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// TestRecentAgainstPebble: whatever transactions write, delete and read, and whatever is
// forgotten between them, reading answers what Pebble has.
func TestRecentAgainstPebble(t *testing.T) {
	cache := NewCache(64 << 10) // so that generations change
	defer cache.Close()
	x, err := Open(t.TempDir(), Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := rand.New(rand.NewPCG(1, 2))
	inos := []Ino{Root}
	for range 300 {
		err := x.Update(func(tx *Tx) error {
			for range r.IntN(60) {
				ino := inos[r.IntN(len(inos))]
				name := fmt.Sprint(r.IntN(30))
				var err error
				switch r.IntN(8) {
				case 0:
					ino = tx.NewIno()
					inos = append(inos, ino)
					err = errors.Join(tx.PutInode(Inode{Ino: ino, Nlink: 1}), tx.Enter(Root, fmt.Sprint(r.IntN(30)), ino))
				case 1:
					ino = tx.NewIno()
					inos = append(inos, ino)
					err = tx.EnterNew(Root, fmt.Sprint("new", ino), Inode{Ino: ino, Nlink: 1})
				case 2:
					err = errors.Join(tx.DeleteInode(ino), tx.ClearDirty(ino))
				case 3:
					err = errors.Join(tx.SetDirty(ino), tx.PutContent(ino, Content{File: r.Uint64()}))
				case 4:
					if err = tx.Remove(Root, name); errors.Is(err, ErrNotFound) {
						err = nil
					}
				case 5:
					err = tx.Enter(Root, name, ino)
				case 6:
					err = tx.PutInode(Inode{Ino: tx.NewIno(), Nlink: 1, Of: inos[r.IntN(2)%len(inos)]})
				default:
					err = sameAsPebble(tx.reader, x, (*overlay)(tx), ino, name)
				}
				if err != nil {
					return err
				}
			}
			if r.IntN(10) == 0 {
				return errDropped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errDropped) {
			t.Fatal(err)
		}
		for range 10 {
			if err := sameAsPebble(x.reader, x, nil, inos[r.IntN(len(inos))], fmt.Sprint(r.IntN(30))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var errDropped = errors.New("this transaction is not kept")

// sameAsPebble compares what is read of an inode and of a name with what a walk finds,
// which goes past what is kept.
func sameAsPebble(r reader, x *Index, tx *overlay, ino Ino, name string) error {
	from := reader{store: x.store, over: tx}
	for _, key := range [][]byte{
		inoKey(tagInode, ino), inoKey(tagContent, ino), inoKey(tagDirty, ino),
		inoKey(tagOrphan, ino), inoKey(tagSubdirs, ino), entryKey(Root, name),
	} {
		var want []byte
		err := from.walk(key, append(bytes.Clone(key), 0), func(_, value []byte) (bool, error) {
			want = append([]byte{}, value...)
			return false, nil
		})
		if err != nil {
			return err
		}
		got, err := r.get(key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
			return fmt.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
	for _, tag := range []byte{tagBack, tagMember} {
		want, err := walkList(from, tag, ino, math.MaxInt)
		got, err2 := r.list(tag, ino)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%c of %d: got %q, want %q", tag, ino, got, want)
		}
	}
	return nil
}

// TestRecentIsNeverBehind: who reads while others write never sees what was there before a
// transaction whose end he has seen.
func TestRecentIsNeverBehind(t *testing.T) {
	x := openTest(t)
	const rounds = 500
	var mu sync.Mutex // protects done
	done := int64(0)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				mu.Lock()
				least := done
				mu.Unlock()
				n, err := x.Inode(Root)
				if least > 0 && (err != nil || n.Size < least) {
					t.Errorf("read %d after %d was kept, %v", n.Size, least, err)
					return
				}
				if least == rounds {
					return
				}
			}
		})
	}
	for i := range int64(rounds) {
		update(t, x, func(tx *Tx) error { return tx.PutInode(Inode{Ino: Root, Nlink: 1, Size: i + 1}) })
		mu.Lock()
		done = i + 1
		mu.Unlock()
	}
	readers.Wait()
}
