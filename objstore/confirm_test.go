package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// onlyBare fails a test that lists metadata.
type onlyBare struct {
	objstore.Bucket
	t *testing.T
}

func (b onlyBare) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	if !opts.Bare {
		b.t.Errorf("List(%+v) asks for metadata", opts)
	}
	return b.Bucket.List(ctx, opts)
}

// Confirm takes few requests where the batch is all that lies there, and not many more
// than one for each key where it lies among others. It compares ETags alone, and so asks for
// no metadata.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		every  int // one of so many objects is in the batch
		others int // in a directory between
		most   int // requests
	}{
		{"all", 1, 0, 2 + 1},
		{"some", 3, 0, 9},
		{"two directories", 1, 5000, 4},
		{"few", 250, 0, 2 * 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			var batch []objstore.Doomed
			for _, dir := range []string{"a/", "z/"} {
				b.Set(dir, nil, objstore.Attributes{})
				for i := range 490 {
					o := b.Set(fmt.Sprintf("%sf%03d", dir, i), []byte("x"), objstore.Attributes{})
					if i%c.every == 0 {
						batch = append(batch, objstore.Doomed{Key: o.Key, IfMatch: o.ETag})
					}
				}
			}
			for i := range c.others {
				b.Set(fmt.Sprintf("m/%04d", i), []byte("x"), objstore.Attributes{})
			}
			b.Remove(batch[1].Key)
			b.Set(batch[2].Key, []byte("theirs"), objstore.Attributes{})
			errs := objstore.Confirm(t.Context(), onlyBare{b, t}, batch)
			for i, err := range errs {
				var want error
				switch i {
				case 1:
					want = objstore.ErrNotFound
				case 2:
					want = objstore.ErrPreconditionFailed
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", batch[i].Key, err, want)
				}
				if err != nil {
					isOp(t, err, objstore.OpDeleteMany, batch[i].Key)
				}
			}
			if have := b.Count(""); have > c.most {
				t.Errorf("%d requests for %d keys, at most %d are allowed", have, len(batch), c.most)
			}
		})
	}
}

// What cannot be listed is not deleted.
func TestConfirmWithoutList(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Inject(memory.Fault{Op: objstore.OpList, Err: objstore.ErrUnavailable})
	for i, err := range objstore.Confirm(t.Context(), b, []objstore.Doomed{{Key: "a", IfMatch: "1"}, {Key: "b", IfMatch: "2"}}) {
		if !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("key %d: %v", i, err)
		}
	}
}
