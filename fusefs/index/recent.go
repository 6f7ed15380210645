package index

import (
	"hash/maphash"
	"sync"
)

// recent keeps the records that were read or written last, so that most reading asks
// nothing of Pebble, whose every read looks into several tables. All indexes of one Cache
// share one. Values are kept as they are stored, and nobody changes them.
//
// A record is taken out before the transaction that changes it is committed, and the new
// one put in after it. Between the two nothing is put in by those who read: they may have
// read what was there before.
type recent struct {
	seed   maphash.Seed
	most   int // bytes of one generation of one shard
	shards [recentShards]recentShard
}

const (
	recentShards = 16
	// recentLargest is the largest record that is kept, in bytes.
	recentLargest = 2 << 10
	// recentOverhead is what a record takes beside its key and value, in bytes, about.
	recentOverhead = 96
)

// recentKey is a record of one index.
type recentKey struct {
	index uint32
	key   string
}

// recentShard has two generations: what was used since the last change of generations,
// and what was used before. When the first is full, the second is forgotten.
type recentShard struct {
	mu         sync.Mutex // protects what follows; a leaf
	young, old map[recentKey][]byte
	bytes      int    // of young
	changing   int    // records in transactions that are being committed
	changes    uint64 // of those that were
}

// newRecent returns a cache of about so many bytes.
func newRecent(size int64) *recent {
	r := &recent{seed: maphash.MakeSeed(), most: int(size) / recentShards / 2}
	for i := range r.shards {
		r.shards[i].young = make(map[recentKey][]byte)
	}
	return r
}

func (r *recent) shard(index uint32, key []byte) *recentShard {
	return &r.shards[(maphash.Bytes(r.seed, key)+uint64(index))%recentShards]
}

// get returns a record, nil for one that is known to be absent, and whether anything is
// known of it. If nothing is, it returns what put wants.
func (r *recent) get(index uint32, key []byte) (value []byte, known bool, changes uint64) {
	s := r.shard(index, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if value, known = s.young[recentKey{index, string(key)}]; known {
		return value, true, 0
	}
	if value, known = s.old[recentKey{index, string(key)}]; known {
		s.add(recentKey{index, string(key)}, value, r.most)
		return value, true, 0
	}
	return nil, false, s.changes
}

// put keeps what was read, nil for an absent record, unless it may have changed since get.
func (r *recent) put(index uint32, key, value []byte, changes uint64) {
	if len(value) > recentLargest {
		return
	}
	s := r.shard(index, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changing == 0 && s.changes == changes {
		s.add(recentKey{index, string(key)}, value, r.most)
	}
}

// note keeps a record that nobody but a transaction which has just been committed knows of.
func (r *recent) note(index uint32, key, value []byte) {
	s := r.shard(index, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(recentKey{index, string(key)}, value, r.most)
}

// add keeps a record. s.mu is held.
func (s *recentShard) add(k recentKey, value []byte, most int) {
	if s.bytes > most {
		s.old, s.young, s.bytes = s.young, make(map[recentKey][]byte, len(s.young)), 0
	}
	s.young[k] = value
	s.bytes += len(k.key) + len(value) + recentOverhead
}

// begin takes a record out that a transaction is about to change.
func (r *recent) begin(index uint32, key []byte) {
	s := r.shard(index, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young, recentKey{index, string(key)})
	delete(s.old, recentKey{index, string(key)})
	s.changing++
}

// end follows begin after the commit, with keep set if the value, nil for none, is to be
// kept.
func (r *recent) end(index uint32, key, value []byte, keep bool) {
	s := r.shard(index, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changing--
	s.changes++
	if keep && len(value) <= recentLargest {
		s.add(recentKey{index, string(key)}, value, r.most)
	}
}

// forget drops all records of an index.
func (r *recent) forget(index uint32) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, m := range []map[recentKey][]byte{s.young, s.old} {
			for k := range m {
				if k.index == index {
					delete(m, k)
				}
			}
		}
		s.mu.Unlock()
	}
}
