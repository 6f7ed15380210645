package index

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// numberBlock is how many numbers are reserved at a time.
const numberBlock = 1 << 16

// Update runs one transaction: fn reads and writes through tx, and when it returns nil all
// of its writes are kept, else none. When Update returns nil, they have reached the kernel.
// Transactions run one after the other; fn must not call Update. After a failure of the
// index it is unknown whether the last transaction was kept.
func (x *Index) Update(fn func(tx *Tx) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.writable(); err != nil {
		return err
	}
	tx := newTx(x)
	defer tx.done()
	err := fn(tx)
	if err == nil {
		err = tx.err
	}
	if err != nil || tx.batch.Empty() {
		_ = tx.batch.Close() // it only frees memory
		return err
	}
	tx.begin()
	onlyTimes := tx.batch.Count() == tx.times
	err = x.commit(tx.batch)
	tx.end(err == nil)
	if !onlyTimes {
		x.committed.Add(1) // not before: who syncs meanwhile may come too early for it
	}
	return err
}

// writable tells why there can be no transaction. x.mu is held.
func (x *Index) writable() error {
	if x.closed {
		return ErrClosed
	}
	return x.failure.get()
}

// commit keeps a batch and frees it. x.mu is held.
func (x *Index) commit(batch *pebble.Batch) error {
	return x.failure.guard(func() error {
		if err := batch.Commit(pebble.Sync); err != nil {
			return err
		}
		return batch.Close()
	})
}

// Sync returns when everything committed before the call survives a power cut. An error is
// final: what a failed fsync left behind is unknown, and a later one would not tell.
func (x *Index) Sync() error {
	if err := x.failure.get(); err != nil {
		return err
	}
	committed := x.committed.Load()
	x.fs.sync()
	err := x.failure.get()
	if err == nil {
		x.lasts(committed)
	}
	return err
}

// lasts notes how many transactions survive a power cut.
func (x *Index) lasts(committed uint64) {
	for {
		was := x.lasting.Load()
		if was >= committed || x.lasting.CompareAndSwap(was, committed) {
			return
		}
	}
}

// DataLasts reports whether all that was committed survives a power cut, but for
// transactions that changed only times (Tx.PutTimes): fdatasync(2) leaves them out.
func (x *Index) DataLasts() bool { return x.lasting.Load() >= x.committed.Load() }

// number gives out the next number of the counter. The end of the block it comes from is on
// the disk before the block's first number is given, so none is given twice, whatever
// happens. x.mu is held.
func (x *Index) number() (uint64, error) {
	if x.next == x.limit {
		limit := x.limit + numberBlock
		batch := x.db.NewBatch()
		if err := batch.Set(numbersKey, binary.AppendUvarint(nil, limit), nil); err != nil {
			return 0, err
		}
		if err := x.commit(batch); err != nil {
			return 0, err
		}
		if err := x.Sync(); err != nil {
			return 0, err
		}
		x.limit = limit
	}
	n := x.next
	x.next++
	return n, nil
}
