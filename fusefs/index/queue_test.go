package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// queued returns what both queues have, as r shows it.
func queued(r reader) (dirty []Ino, doomed []string, err error) {
	err = errors.Join(
		r.Dirty(func(ino Ino) bool { dirty = append(dirty, ino); return true }),
		r.Doomed(func(key string) bool { doomed = append(doomed, key); return true }))
	return dirty, doomed, err
}

// TestQueuesAgainstModel: whatever is queued and taken out, in few or many, and whichever
// transactions are dropped, both queues have what they should, in and between transactions.
func TestQueuesAgainstModel(t *testing.T) {
	for seed := range uint64(4) {
		x := openTest(t)
		r := rand.New(rand.NewPCG(seed, 1))
		dirty, doomed := map[int]bool{}, map[int]bool{}
		check := func(what string, r reader, dirty, doomed map[int]bool) {
			t.Helper()
			var inos []Ino
			for i := range dirty {
				inos = append(inos, Ino(i))
			}
			var keys []string
			for i := range doomed {
				keys = append(keys, fmt.Sprint("key-", i))
			}
			slices.Sort(inos)
			slices.Sort(keys)
			gotInos, gotKeys, err := queued(r)
			if err != nil || !slices.Equal(inos, gotInos) || !slices.Equal(keys, gotKeys) {
				t.Fatalf("seed %d, %s: queued are %v and %v, want %v and %v (%v)", seed, what, gotInos, gotKeys, inos, keys, err)
			}
		}
		few := []int{3, 20, queueMost, 2 * queueMost}
		most := few[0]
		for range 400 {
			if r.IntN(20) == 0 {
				most = few[r.IntN(len(few))]
			}
			nextDirty, nextDoomed := clone(dirty), clone(doomed)
			err := x.Update(func(tx *Tx) error {
				for range r.IntN(12) {
					i := 1 + r.IntN(2*queueMost)
					set := len(nextDirty) < most && r.IntN(2) == 0
					var err error
					if ino, key := Ino(i), fmt.Sprint("key-", i); set {
						nextDirty[i], nextDoomed[i] = true, true
						err = errors.Join(tx.SetDirty(ino), tx.Doom(key))
					} else {
						delete(nextDirty, i)
						delete(nextDoomed, i)
						err = errors.Join(tx.ClearDirty(ino), tx.Spare(key))
					}
					if err != nil {
						return err
					}
				}
				if r.IntN(4) == 0 {
					check("in a transaction", tx.reader, nextDirty, nextDoomed)
				}
				if r.IntN(8) == 0 {
					return errDropped
				}
				return nil
			})
			switch {
			case err == nil:
				dirty, doomed = nextDirty, nextDoomed
			case !errors.Is(err, errDropped):
				t.Fatal(err)
			}
			switch r.IntN(4) {
			case 0:
				if err := x.Dirty(func(Ino) bool { return false }); err != nil { // not to its end
					t.Fatal(err)
				}
			case 1, 2:
				check("between transactions", x.reader, dirty, doomed)
			}
		}
	}
}

func clone(m map[int]bool) map[int]bool {
	c := make(map[int]bool, len(m))
	for i := range m {
		c[i] = true
	}
	return c
}

// TestQueueWhileItChanges: who walks a queue while transactions change it sees each of them
// wholly or not at all, and after it returned he sees it.
func TestQueueWhileItChanges(t *testing.T) {
	x := openTest(t)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				inos, _, err := queued(x.reader)
				if err != nil || len(inos) != 0 && len(inos) != 3 {
					t.Errorf("%d inodes are queued (%v), of which all come and go at once", len(inos), err)
					return
				}
			}
		})
	}
	for i := range 2000 {
		first := Ino(10 + i/2*3)
		set := i%2 == 0
		update(t, x, func(tx *Tx) error {
			var err error
			for ino := first; ino < first+3; ino++ {
				if set {
					err = errors.Join(err, tx.SetDirty(ino))
				} else {
					err = errors.Join(err, tx.ClearDirty(ino))
				}
			}
			return err
		})
		inos, _, err := queued(x.reader)
		if err != nil || set != slices.Equal(inos, []Ino{first, first + 1, first + 2}) || !set && len(inos) > 0 {
			t.Fatalf("queued are %v (%v) after a transaction about %d and two more, set: %v", inos, err, first, set)
		}
	}
	close(done)
	readers.Wait()
}

// TestShortQueueIsInMemory: a queue that was walked once is known from there on while it is
// short, again after it was long, and what it is known to have or not is not written again.
func TestShortQueueIsInMemory(t *testing.T) {
	x := openTest(t)
	known := func() bool {
		if _, _, err := queued(x.reader); err != nil {
			t.Fatal(err)
		}
		_, dirty, _ := x.store.dirty.get()
		_, doomed, _ := x.store.doomed.get()
		return dirty && doomed
	}
	fill := func(set bool) {
		for i := range queueMost + 1 {
			update(t, x, func(tx *Tx) error {
				ino, key := Ino(100+i), fmt.Sprint(i)
				if set {
					return errors.Join(tx.SetDirty(ino), tx.Doom(key))
				}
				return errors.Join(tx.ClearDirty(ino), tx.Spare(key))
			})
		}
	}
	if !known() {
		t.Fatal("two empty queues are not known after a walk")
	}
	fill(true)
	if known() {
		t.Fatal("two long queues are in memory")
	}
	fill(false)
	if !known() {
		t.Fatal("two short queues that were long are not known after a walk")
	}
	update(t, x, func(tx *Tx) error { return errors.Join(tx.SetDirty(1), tx.Doom("a")) })
	_, dirty, _ := x.store.dirty.get()
	_, doomed, _ := x.store.doomed.get()
	if !dirty || !doomed {
		t.Error("a transaction that adds one makes a short queue unknown")
	}
	update(t, x, func(tx *Tx) error {
		err := errors.Join(tx.SetDirty(1), tx.Doom("a"), tx.ClearDirty(2), tx.Spare("b"))
		if n := tx.batch.Count(); n != 0 {
			t.Errorf("what changes nothing in the queues is %d writes", n)
		}
		return err
	})
}
