package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// slowly is a bucket whose requests wait before they are executed and before they are
// answered, each for a time that is drawn.
type slowly struct {
	objstore.Bucket
	mu   sync.Mutex // protects what follows
	r    *rand.Rand
	most time.Duration
}

func (s *slowly) nap(ctx context.Context) {
	s.mu.Lock()
	var d time.Duration
	if s.r.IntN(4) > 0 {
		d = time.Duration(s.r.Int64N(int64(s.most)))
	}
	s.mu.Unlock()
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (s *slowly) Head(ctx context.Context, key string) (objstore.Object, error) {
	s.nap(ctx)
	defer s.nap(ctx)
	return s.Bucket.Head(ctx, key)
}

func (s *slowly) List(ctx context.Context, o objstore.ListOptions) (objstore.Page, error) {
	s.nap(ctx)
	defer s.nap(ctx)
	return s.Bucket.List(ctx, o)
}

func (s *slowly) Put(ctx context.Context, key string, body objstore.Body, o objstore.PutOptions) (objstore.Object, error) {
	s.nap(ctx)
	defer s.nap(ctx)
	return s.Bucket.Put(ctx, key, body, o)
}

func (s *slowly) Delete(ctx context.Context, key string, cond objstore.Condition) error {
	s.nap(ctx)
	defer s.nap(ctx)
	return s.Bucket.Delete(ctx, key, cond)
}

func (s *slowly) DeleteMany(ctx context.Context, batch []objstore.Doomed) []error {
	s.nap(ctx)
	defer s.nap(ctx)
	return s.Bucket.DeleteMany(ctx, batch)
}

// removeAll removes a tree as os.RemoveAll does: a few names are read, removed, and so on,
// until there are no more than were read.
func (v *volume) removeAll(path string, r *rand.Rand) error {
	const atOnce = 12
	if err := v.unlink(path); !errors.Is(err, vfs.ErrIsDir) {
		if errors.Is(err, vfs.ErrNotExist) {
			return nil
		}
		return err
	}
	for {
		names, err := v.names(path)
		if err != nil {
			return err
		}
		some := names[:min(atOnce, len(names))]
		for _, name := range some {
			time.Sleep(time.Duration(r.Int64N(int64(30 * time.Millisecond))))
			if err := v.removeAll(path+"/"+name, r); err != nil {
				return err
			}
		}
		if len(some) < atOnce {
			return v.rmdir(path)
		}
	}
}

// TestRemoveWhileListed: no listing under way, and no answer that is lost, brings back what
// is being removed (hard-cases 9).
func TestRemoveWhileListed(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				below := bucketOf(t, memory.Options{PageSize: 5, ContentETags: true, Without: objstore.Capabilities{
					ConditionalDelete: seed%2 == 0, ListMetadata: seed%3 == 0, BatchDelete: seed%5 == 0,
				}})
				b := &slowly{Bucket: below, r: rand.New(rand.NewPCG(seed, 2)), most: 1}
				v := open(t, objstore.WithRetry(b, objstore.RetryPolicy{}, nil), t.TempDir(), func(c *vfs.Config) {
					c.TTL = time.Duration(50+r.IntN(1000)) * time.Millisecond
				})
				defer v.close()
				if seed%4 > 0 {
					want(t, v.mkdir("d", 0o755))
					want(t, v.mkdir("d/s", 0o755))
				}
				for i := range 40 {
					path := fmt.Sprintf("d/f%02d", i)
					if i >= 30 {
						path = fmt.Sprintf("d/s/f%02d", i)
					}
					if seed%4 > 0 {
						want(t, v.write(path, 0, []byte("x"), 0))
					} else {
						below.Set("v/"+path, []byte("x"), objstore.Attributes{})
					}
				}
				v.drain()
				for _, dir := range []string{"d", "d/s"} {
					_, err := v.names(dir)
					want(t, err)
				}
				for _, op := range []string{objstore.OpDelete, objstore.OpDeleteMany, objstore.OpPut, objstore.OpHead, objstore.OpList} {
					for k := range 4 {
						below.Inject(memory.Fault{Op: op, Nth: r.IntN(10 * (k + 1)), After: r.IntN(2) == 0, Err: objstore.ErrUnavailable})
					}
				}
				b.mu.Lock()
				b.most = time.Duration(1+r.IntN(500)) * time.Millisecond
				b.mu.Unlock()
				time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
				want(t, v.removeAll("d", r))
				for range 60 {
					time.Sleep(time.Second)
					if names, err := v.names(""); err == nil && len(names) > 0 {
						t.Fatalf("%q came back", names)
					}
				}
				v.drain()
				for key := range below.Snapshot() {
					if key != "v/" {
						t.Errorf("%s is left", key)
					}
				}
			})
		})
	}
}
