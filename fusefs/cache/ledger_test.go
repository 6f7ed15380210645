package cache

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func TestLedger(t *testing.T) {
	var l Ledger
	for ino := range uint64(4) {
		l.Set(ino+1, 10, true)
	}
	l.Set(5, 100, false)
	l.Set(6, 0, true)
	if l.Total() != 140 {
		t.Errorf("Total = %d", l.Total())
	}
	check := func(limit int64, want ...uint64) {
		t.Helper()
		if got := l.Victims(limit); !slices.Equal(got, want) {
			t.Errorf("Victims(%d) = %v, want %v", limit, got, want)
		}
	}
	for ino, bytes := range map[uint64]int64{1: 10, 5: 100, 6: 0, 99: 0} {
		if own, others := l.Share(ino); own != bytes || others != 140-bytes {
			t.Errorf("Share(%d) = %d, %d", ino, own, others)
		}
	}
	check(140)
	check(139, 1)
	check(130, 1)
	check(129, 1, 2)
	check(0, 1, 2, 3, 4)

	l.Touch(1)
	l.Touch(5)
	l.Touch(99)
	check(0, 2, 3, 4, 1)
	l.Set(3, 11, true) // keeps its place
	check(0, 2, 3, 4, 1)
	l.Set(2, 10, false)
	check(0, 3, 4, 1)
	l.Set(2, 10, true) // becomes evictable: used now
	check(0, 3, 4, 1, 2)
	l.Remove(3)
	l.Remove(3)
	check(0, 4, 1, 2)
	if l.Total() != 130 {
		t.Errorf("Total = %d", l.Total())
	}
}

// TestLedgerModel compares with a ledger that is a plain list in order of use.
func TestLedgerModel(t *testing.T) {
	type line struct {
		ino       uint64
		bytes     int64
		evictable bool
	}
	random := rand.New(rand.NewPCG(7, 8))
	var l Ledger
	var model []line
	find := func(ino uint64) int {
		return slices.IndexFunc(model, func(m line) bool { return m.ino == ino })
	}
	for step := range 20_000 {
		ino := random.Uint64N(20)
		at := find(ino)
		switch random.IntN(6) {
		case 0, 1, 2:
			set := line{ino, random.Int64N(4) * 10, random.IntN(2) == 0}
			l.Set(set.ino, set.bytes, set.evictable)
			counts := func(m line) bool { return m.evictable && m.bytes > 0 }
			if at >= 0 && (counts(model[at]) || !counts(set)) {
				model[at] = set
				break
			}
			if at >= 0 {
				model = slices.Delete(model, at, at+1)
			}
			model = append(model, set)
		case 3, 4:
			l.Touch(ino)
			if at >= 0 {
				touched := model[at]
				model = append(slices.Delete(model, at, at+1), touched)
			}
		case 5:
			l.Remove(ino)
			if at >= 0 {
				model = slices.Delete(model, at, at+1)
			}
		}

		var total int64
		for _, m := range model {
			total += m.bytes
		}
		if got := l.Total(); got != total {
			t.Fatalf("step %d: Total = %d, want %d", step, got, total)
		}
		limit := random.Int64N(total + 20)
		var want []uint64
		for left, i := total, 0; i < len(model) && left > limit; i++ {
			if model[i].evictable && model[i].bytes > 0 {
				want = append(want, model[i].ino)
				left -= model[i].bytes
			}
		}
		if got := l.Victims(limit); !slices.Equal(got, want) {
			t.Fatalf("step %d: Victims(%d) = %v, want %v", step, limit, got, want)
		}
	}
}

func TestLedgerParallel(t *testing.T) {
	var l Ledger
	var group sync.WaitGroup
	for worker := range uint64(4) {
		group.Go(func() {
			for i := range uint64(500) {
				ino := worker<<32 | i%50
				l.Set(ino, int64(i), i%2 == 0)
				l.Touch(ino)
				l.Victims(1000)
				l.Remove(ino)
			}
		})
	}
	group.Wait()
	if l.Total() != 0 || l.Victims(-1) != nil {
		t.Errorf("what is left: %d bytes, %v", l.Total(), l.Victims(-1))
	}
}

// BenchmarkLedgerTouch is what each use of a file costs in the order of eviction.
func BenchmarkLedgerTouch(b *testing.B) {
	var l Ledger
	for ino := range uint64(100_000) {
		l.Set(ino, 1, true)
	}
	ino := uint64(0)
	for b.Loop() {
		l.Touch(ino % 100_000)
		ino += 7919
	}
}

// BenchmarkLedgerOfAMillion reports what each inode takes in memory.
func BenchmarkLedgerOfAMillion(b *testing.B) {
	const inodes = 1_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var l Ledger
		for ino := range uint64(inodes) {
			l.Set(ino, 4096, true)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/inodes, "B/inode")
		runtime.KeepAlive(&l)
	}
}
