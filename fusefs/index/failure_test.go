package index

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failing opens an index on d that must fail later. What it answers is told to the channel.
func failing(t *testing.T, d *disk) (*Index, chan error) {
	t.Helper()
	told := make(chan error, 10)
	x, err := open("index", Options{OnFailure: func(err error) { told <- err }}, d, smallTable)
	if err != nil {
		t.Fatal(err)
	}
	update(t, x, func(tx *Tx) error { return tx.PutMeta("before", nil) })
	return x, told
}

// checkFailed: the failure is told once, writing and syncing answer it, reading goes on.
func checkFailed(t *testing.T, x *Index, told chan error, cause error) {
	t.Helper()
	if err := <-told; !errors.Is(err, cause) && !strings.Contains(err.Error(), cause.Error()) {
		t.Errorf("OnFailure was told %v", err)
	}
	for range 3 {
		ran := false
		if err := x.Update(func(*Tx) error { ran = true; return nil }); err == nil || ran {
			t.Errorf("a failed index ran a transaction, error %v", err)
		}
		if err := x.Sync(); err == nil {
			t.Error("a failed index was synced")
		}
	}
	if _, err := x.Meta("before"); err != nil {
		t.Errorf("a failed index is not read: %v", err)
	}
	if err := x.Close(); err == nil {
		t.Error("a failed index was closed without a word")
	}
	if len(told) > 0 {
		t.Errorf("OnFailure was told again: %v", <-told)
	}
}

// A full disk ends the index, not the process (hard-cases 11).
func TestDiskFullInALog(t *testing.T) {
	var full atomic.Bool
	x, told := failing(t, &disk{FS: vfs.NewMem(), write: func(name string) error {
		if full.Load() && isWAL(name) {
			return syscall.ENOSPC
		}
		return nil
	}})
	full.Store(true)
	if err := x.Update(func(tx *Tx) error { return tx.PutMeta("m", nil) }); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	checkFailed(t, x, told, syscall.ENOSPC)
}

// The same when the next log cannot be made: Pebble itself would not survive that.
func TestDiskFullBetweenLogs(t *testing.T) {
	for _, large := range []bool{false, true} {
		t.Run(fmt.Sprintf("large=%v", large), func(t *testing.T) {
			var full atomic.Bool
			x, told := failing(t, &disk{FS: vfs.NewMem(), create: func(name string) error {
				if full.Load() && isWAL(name) {
					return syscall.ENOSPC
				}
				return nil
			}})
			full.Store(true)
			value := make([]byte, 1024)
			if large { // a transaction that does not fit into memory takes another way
				value = make([]byte, 2*smallTable)
			}
			var err error
			for i := 0; err == nil && i < 100; i++ {
				err = x.Update(func(tx *Tx) error { return tx.PutMeta(fmt.Sprint(i), value) })
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}
			checkFailed(t, x, told, syscall.ENOSPC)
		})
	}
}

// Pebble's own reason to end the process.
func TestManifestCannotBeWritten(t *testing.T) {
	var full atomic.Bool
	broken := errors.New("broken")
	x, told := failing(t, &disk{FS: vfs.NewMem(), write: func(name string) error {
		if full.Load() && isManifest(name) {
			return broken
		}
		return nil
	}})
	full.Store(true)
	var err error
	for i := 0; err == nil; i++ {
		err = x.Update(func(tx *Tx) error { return tx.PutMeta(fmt.Sprint(i), make([]byte, 1024)) })
	}
	checkFailed(t, x, told, broken)
}

// After an fsync that failed, what is on the disk is unknown for good.
func TestSyncFails(t *testing.T) {
	var broken atomic.Bool
	x, told := failing(t, &disk{FS: vfs.NewMem(), sync: func(name string) error {
		if isWAL(name) && broken.Swap(false) {
			return syscall.EIO
		}
		return nil
	}})
	broken.Store(true)
	if err := x.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	checkFailed(t, x, told, syscall.EIO)
}

// An index that cannot be opened answers so, without ending the process.
func TestDiskFullWhileOpening(t *testing.T) {
	d := &disk{FS: vfs.NewMem(), create: func(name string) error {
		if isWAL(name) {
			return syscall.ENOSPC
		}
		return nil
	}}
	if _, err := open("index", Options{}, d, smallTable); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
}

// On a disk that is full before, Pebble is not even asked: it would keep its lock, and no
// later attempt on a disk with space again could succeed.
func TestDiskFullBeforeOpening(t *testing.T) {
	mem := vfs.NewMem()
	d := &disk{FS: mem, create: func(string) error { return syscall.ENOSPC }}
	if _, err := open("index", Options{}, d, smallTable); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	if names, err := mem.List("index"); err != nil || len(names) > 0 {
		t.Errorf("the attempt left %q, %v", names, err)
	}
}

// At the first shortage the reserve is given up, and nothing fails.
func TestReserveIsGivenUp(t *testing.T) {
	mem := vfs.NewMem()
	var full, gone atomic.Bool
	d := &disk{FS: mem, write: func(name string) error {
		if full.Load() && !gone.Load() && isWAL(name) {
			return syscall.ENOSPC
		}
		return nil
	}, remove: func(name string) error {
		if name == "ballast" {
			gone.Store(true)
		}
		return nil
	}}
	x, told := failing(t, d)
	if _, err := mem.Stat("index/ballast"); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	update(t, x, func(tx *Tx) error { return tx.PutMeta("m", nil) })
	if !gone.Load() {
		t.Error("the reserve was not needed, so nothing is shown")
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Error(<-told)
	}
	x, err := open("index", Options{}, mem, smallTable)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	if _, err := x.Meta("m"); err != nil {
		t.Error(err)
	}
	if _, err := mem.Stat("index/ballast"); err != nil {
		t.Errorf("the reserve is not there again: %v", err)
	}
}

// A table that cannot be written for a while is written later.
func TestShortageThatEnds(t *testing.T) {
	var refused atomic.Int32
	x, told := failing(t, &disk{FS: vfs.NewMem(), create: func(name string) error {
		if isTable(name) && refused.Add(1) <= 2 { // the retry after giving up the reserve, too
			return syscall.ENOSPC
		}
		return nil
	}})
	if err := x.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := refused.Load(); n < 3 {
		t.Fatalf("a table was asked for %d times, so nothing is shown", n)
	}
	update(t, x, func(tx *Tx) error { return tx.PutMeta("m", nil) })
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Error(<-told)
	}
}
