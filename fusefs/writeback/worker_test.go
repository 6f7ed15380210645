package writeback

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// deleters notes which goroutines delete, and how often each.
type deleters struct {
	objstore.Bucket

	mu   sync.Mutex
	seen map[string]int
}

func (d *deleters) Delete(ctx context.Context, key string, cond objstore.Condition) error {
	stack := make([]byte, 64)
	_, rest, _ := bytes.Cut(stack[:runtime.Stack(stack, false)], []byte(" ")) // "goroutine 7 [running]:"
	id, _, _ := bytes.Cut(rest, []byte(" "))
	d.mu.Lock()
	d.seen[string(id)]++
	d.mu.Unlock()
	return d.Bucket.Delete(ctx, key, cond)
}

// A worker goes on with the next task that is due: its stack has grown to what one needs.
func TestWorkerGoesOn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const keys = 100
		x, err := index.Open(dir, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = x.Close() }()
		lay, err := layout.New("v")
		if err != nil {
			t.Fatal(err)
		}
		b := memory.New(memory.Options{Without: objstore.Capabilities{BatchDelete: true}})
		d := &deleters{Bucket: b, seen: make(map[string]int)}
		for i := range keys {
			key := fmt.Sprintf("v/f%d", i)
			obj := b.Set(key, []byte("x"), objstore.Attributes{})
			err := x.Update(func(tx *index.Tx) error {
				if err := tx.PutKey(index.Key{Key: key, ETag: obj.ETag, LastModified: obj.LastModified, Size: 1}); err != nil {
					return err
				}
				return tx.Doom(key)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		w := New(Config{Index: x, Bucket: d, Layout: lay, Log: slog.New(slog.DiscardHandler), Workers: 1})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := w.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Snapshot()); n > 0 {
			t.Errorf("%d objects are left", n)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.seen) != 1 {
			t.Errorf("%d goroutines deleted %d keys: %v", len(d.seen), keys, d.seen)
		}
	})
}
