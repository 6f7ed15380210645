package memory

import (
	"bytes"
	"maps"
	"slices"

	"objvol/objstore"
)

// Request is a request that reached the bucket, executed or not.
type Request struct {
	Op  string // one of objstore.Ops
	Key string // of a listing, its prefix
}

// record writes a request into the journal and returns the faults that hit it.
func (b *Bucket) record(op, key string) []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, Request{Op: op, Key: key})
	return b.faultsLocked(op, key)
}

// faultsOf returns the faults of what is only a part of a request.
func (b *Bucket) faultsOf(op, key string) []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faultsLocked(op, key)
}

func (b *Bucket) faultsLocked(op, key string) []Fault {
	var hit []Fault
	for _, f := range b.faults {
		if f.hits(op, key) {
			hit = append(hit, f.Fault)
		}
	}
	return hit
}

// Requests returns all requests since the last Forget, in order of arrival.
func (b *Bucket) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Count returns the number of requests of this name since the last Forget; with an
// empty name, of all.
func (b *Bucket) Count(op string) int {
	n := 0
	for _, r := range b.Requests() {
		if op == "" || r.Op == op {
			n++
		}
	}
	return n
}

// Forget empties the journal.
func (b *Bucket) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = nil
}

// Snapshot returns all objects by key. Their bytes must not be changed.
func (b *Bucket) Snapshot() map[string]Stored {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]Stored, len(b.objects))
	for key, stored := range b.objects {
		all[key] = Stored{Object: describe(stored), Data: stored.Data}
	}
	return all
}

// Uploads returns the keys of the multipart uploads that were neither completed nor
// aborted, in order.
func (b *Bucket) Uploads() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []string
	for _, id := range slices.Sorted(maps.Keys(b.uploads)) {
		keys = append(keys, b.uploads[id].key)
	}
	slices.Sort(keys)
	return keys
}

// Set writes an object as another client does.
func (b *Bucket) Set(key string, data []byte, attrs objstore.Attributes) objstore.Object {
	b.mu.Lock()
	defer b.mu.Unlock()
	return describe(b.storeLocked(key, bytes.Clone(data), attrs, ""))
}

// Remove deletes an object as another client does.
func (b *Bucket) Remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

// HasUpload reports whether an upload was neither completed nor aborted.
func (b *Bucket) HasUpload(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.uploads[id]
	return ok
}
