package index

import (
	"slices"
	"sync"
)

// queue is one of the index's queues in memory, while it is short. In Pebble each record that
// was taken out of it leaves a deletion, and a walk there looks at all of them: who syncs a
// directory after every file waited longer for that than for all else in it.
//
// While a transaction that changes the queue is being committed, nothing is read from here.
// What was read from Pebble before its end is not kept after it.
type queue struct {
	mu       sync.Mutex // protects what follows; a leaf
	known    bool       // all is what is queued
	all      []string   // what follows the tag in the keys, ascending; replaced, not changed
	changing int        // records in transactions that are being committed
	changes  uint64     // of those that were
}

// queueMost is how many records a queue has at most that is kept in memory.
const queueMost = 64

// queue returns the queue whose records have a tag, nil for records of none.
func (s *store) queue(tag byte) *queue {
	switch tag {
	case tagDirty:
		return &s.dirty
	case tagDoomed:
		return &s.doomed
	}
	return nil
}

// get returns what is queued, if that is known, and else what put wants.
func (q *queue) get() (all []string, known bool, changes uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all, q.known && q.changing == 0, q.changes
}

// has tells whether a record is queued, if that is known.
func (q *queue) has(record string) (there, known bool) {
	all, known, _ := q.get()
	_, there = slices.BinarySearch(all, record)
	return there, known
}

// put keeps what was read, unless it may have changed since get.
func (q *queue) put(all []string, changes uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changes == changes {
		q.all, q.known = all, true
	}
}

// begin tells of a record that is about to change, before its transaction is committed.
func (q *queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changing++
}

// end follows begin after the commit: the record is there now, or it is not.
func (q *queue) end(record string, there, committed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changing--
	q.changes++
	if q.known = q.known && committed; !q.known {
		q.all = nil
		return
	}
	i, was := slices.BinarySearch(q.all, record)
	switch {
	case there && !was && len(q.all) == queueMost:
		q.all, q.known = nil, false
	case there && !was:
		q.all = slices.Insert(slices.Clone(q.all), i, record)
	case !there && was:
		q.all = slices.Delete(slices.Clone(q.all), i, i+1)
	}
}

// walkQueue gives fn what follows the tag in the keys of a queue, ascending. The bytes are
// fn's only until it returns.
func (r reader) walkQueue(tag byte, fn func(record []byte) bool) error {
	q := r.store.queue(tag)
	all, known, changes := q.get()
	if known && r.over == nil {
		for _, record := range all {
			if !fn([]byte(record)) {
				return nil
			}
		}
		return nil
	}
	var read []string
	short := r.over == nil
	err := r.walk([]byte{tag}, []byte{tag + 1}, func(key, _ []byte) (bool, error) {
		if short = short && len(read) < queueMost; short {
			read = append(read, string(key[1:]))
		}
		more := fn(key[1:])
		short = short && more
		return more, nil
	})
	if err == nil && short {
		q.put(read, changes)
	}
	return err
}
