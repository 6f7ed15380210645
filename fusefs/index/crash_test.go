package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	cuts       = 150
	smallTable = 64 << 10 // so that a few dozen transactions fill several logs
)

// commitNumbered runs the i-th transaction of a history: it writes its own record and, in
// another, how far the history is.
func commitNumbered(x *Index, i uint64) error {
	return x.Update(func(tx *Tx) error {
		return errors.Join(
			tx.PutMeta(fmt.Sprintf("at/%d", i), make([]byte, 2048)),
			tx.PutMeta("count", binary.AppendUvarint(nil, i)))
	})
}

// readHistory returns how far the history is that an index holds, and an error if it is not
// a history: one of its transactions is missing or torn, or a later one is there.
func readHistory(x *Index, upTo uint64) (uint64, error) {
	var count uint64
	b, err := x.Meta("count")
	if err == nil {
		count, _ = binary.Uvarint(b)
	} else if !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	for i := uint64(1); i <= upTo; i++ {
		b, err := x.Meta(fmt.Sprintf("at/%d", i))
		switch {
		case i <= count && err != nil:
			return count, fmt.Errorf("transaction %d of %d: %w", i, count, err)
		case i <= count && len(b) != 2048:
			return count, fmt.Errorf("transaction %d of %d is torn", i, count)
		case i > count && !errors.Is(err, ErrNotFound):
			return count, fmt.Errorf("transaction %d is there, the last is %d: %w", i, count, err)
		}
	}
	return count, nil
}

// errNotOpened is what cut finds when what is left does not open.
var errNotOpened = errors.New("open after the cut")

// cut runs a history on a disk whose power fails, and opens what is left of it. The disk
// keeps what was synced and a random part of the rest. wrap may spoil the disk.
func cut(seed uint64, wrap func(vfs.FS) vfs.FS) error {
	rng := rand.New(rand.NewPCG(seed, 11))
	mem := vfs.NewCrashableMem()
	// Flushing a log's transactions to a table often waits until the power is gone, so
	// that several logs are needed to open again.
	gate := make(chan struct{})
	var held atomic.Bool
	d := &disk{FS: wrap(mem), create: func(name string) error {
		if held.Load() && isTable(name) {
			<-gate
		}
		return nil
	}}
	x, err := open("index", Options{}, d, smallTable)
	if err != nil {
		return fmt.Errorf("first open: %w", err)
	}
	quiet := rng.Uint64N(60)
	last := quiet + rng.Uint64N(60)
	synced := uint64(0)
	for i := uint64(1); i <= last; i++ {
		held.Store(i > quiet) // at most four small tables' worth, the most that may wait
		if err := commitNumbered(x, i); err != nil {
			return err
		}
		if rng.IntN(40) == 0 {
			if err := x.Sync(); err != nil {
				return err
			}
			synced = i
		}
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	close(gate)
	if err := x.Close(); err != nil {
		return err
	}

	x, err = open("index", Options{}, left, smallTable)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotOpened, err)
	}
	found, err := readHistory(x, last)
	if err == nil && found < synced {
		err = fmt.Errorf("%d transactions are left, %d were synced", found, synced)
	}
	return errors.Join(err, x.Close())
}

// After every power cut the index opens and holds a prefix of its history, in which nothing
// is missing that was synced (hard-cases 3).
func TestPowerCuts(t *testing.T) {
	for seed := range uint64(cuts) {
		if err := cut(seed, func(fs vfs.FS) vfs.FS { return fs }); err != nil {
			t.Fatalf("cut %d: %v", seed, err)
		}
	}
}

// The loop above notices when logs are not synced at their end.
func TestPowerCutsWithoutSyncAtTheEnd(t *testing.T) {
	failed := 0
	for seed := range uint64(cuts) {
		err := cut(seed, func(fs vfs.FS) vfs.FS {
			return &disk{FS: fs, sync: func(name string) error {
				if isWAL(name) {
					return errSkipped
				}
				return nil
			}}
		})
		if errors.Is(err, errNotOpened) {
			failed++
		}
	}
	t.Logf("%d of %d cuts left an index that does not open", failed, cuts)
	if failed == 0 {
		t.Fatal("none was noticed")
	}
}

// camera takes pictures of what a power cut would leave of a disk.
type camera struct {
	mem *vfs.MemFS
	rng *rand.Rand

	mu   sync.Mutex
	left []*vfs.MemFS
}

// step takes some at every step that matters to the disk's order.
func (c *camera) step(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, percent := range []int{0, 30, 70} {
		c.left = append(c.left, c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng}))
	}
	return nil
}

// check opens what was left by each cut.
func (c *camera) check(t *testing.T, last uint64) {
	t.Helper()
	for i, left := range c.left {
		x, err := open("index", Options{}, left, smallTable)
		if err != nil {
			t.Fatalf("cut %d of %d: %v", i, len(c.left), err)
		}
		if _, err := readHistory(x, last); err != nil {
			t.Errorf("cut %d of %d: %v", i, len(c.left), err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The power fails at any step of making an index, writing it and closing it.
func TestPowerCutAtEveryStep(t *testing.T) {
	mem := vfs.NewCrashableMem()
	c := &camera{mem: mem, rng: rand.New(rand.NewPCG(1, 13))}
	x, err := open("index", Options{}, &disk{FS: mem, create: c.step, sync: c.step, remove: c.step}, smallTable)
	if err != nil {
		t.Fatal(err)
	}
	const last = 60
	for i := range uint64(last) {
		if err := commitNumbered(x, i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	c.check(t, last)
}

// A process is killed, and the power fails at any step of the next one's opening of the
// index. What the killed one committed was never synced, and is read from the kernel.
func TestPowerCutWhileOpeningAfterAKill(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 12))
		mem := vfs.NewCrashableMem()
		// Of the first process no table gets to the disk, as if it was killed before.
		var opened atomic.Bool
		first, err := open("index", Options{}, &disk{FS: mem, unlocked: true, create: func(name string) error {
			if opened.Load() && isTable(name) {
				select {}
			}
			return nil
		}}, smallTable)
		if err != nil {
			t.Fatal(err)
		}
		opened.Store(true)
		last := rng.Uint64N(40)
		for i := range last {
			if err := commitNumbered(first, i+1); err != nil {
				t.Fatal(err)
			}
		}

		c := &camera{mem: mem, rng: rng}
		second, err := open("index", Options{}, &disk{FS: mem, unlocked: true, create: c.step, sync: c.step, remove: c.step}, smallTable)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := readHistory(second, last); err != nil || found != last {
			t.Errorf("after the kill %d of %d transactions are there, error %v", found, last, err)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
		c.check(t, last)
	}
}

// A number that was given is not given again after a power cut that takes with it all that
// was not synced (hard-cases 6).
func TestNumbersAfterAPowerCut(t *testing.T) {
	mem := vfs.NewCrashableMem()
	x, err := open("index", Options{}, mem, memTableSize)
	if err != nil {
		t.Fatal(err)
	}
	id := x.ID()
	var last Ino
	update(t, x, func(tx *Tx) error {
		for range numberBlock + 5 {
			last = tx.NewIno()
		}
		return tx.PutInode(Inode{Ino: last, Nlink: 1})
	})
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = open("index", Options{}, left, memTableSize); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	if _, err := x.Inode(last); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the transaction survived, so nothing is shown: %v", err)
	}
	if x.ID() != id {
		t.Errorf("the identity is %s, was %s", x.ID(), id)
	}
	update(t, x, func(tx *Tx) error {
		if n := tx.NewIno(); n <= last {
			t.Errorf("%d was given before the cut, %d after it", last, n)
		}
		return nil
	})
}
