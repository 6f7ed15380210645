package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// The collector waits for so much more garbage than it would, and not for much more than that.
func TestGarbageIsLeft(t *testing.T) {
	was := garbage
	defer func() { garbage = was }()
	garbage = nil
	before := collectedAt()
	leaveGarbage()
	after := collectedAt()
	// What is set aside counts twice in the size of the heap at which the collector starts: as in
	// use, and as what may come on top of it.
	if more := after - before; more < 2*garbageLeft-garbageLeft/4 || more > 2*garbageLeft+garbageLeft/4 {
		t.Errorf("the collector waits for a heap of %d MiB, without it for %d MiB", after>>20, before>>20)
	}
}

// collectedAt returns at how many bytes of heap the collector starts the next time.
func collectedAt() int64 {
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return int64(goal[0].Value.Uint64())
}
