package objstore_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below := memory.New(memory.Options{})
		below.Set("k", []byte("0123456789"), objstore.Attributes{})
		for _, op := range objstore.Ops {
			below.Inject(memory.Fault{Op: op, Delay: time.Second})
		}
		o := &observer{}
		errs := every(t.Context(), objstore.WithObserver(below, o), "k")
		sent := map[string]int64{objstore.OpPut: 5, objstore.OpUploadPart: 3}
		for _, r := range o.requests {
			want := observation{r.op, objstore.Outcome(errs[r.op]), time.Second, sent[r.op], 0}
			if r.op == objstore.OpGet {
				want.received = 10
			}
			if r != want {
				t.Errorf("observed %+v instead of %+v", r, want)
			}
			delete(errs, r.op)
		}
		if len(errs) > 0 {
			t.Errorf("not observed: %v", errs)
		}
		if len(o.retries) > 0 {
			t.Errorf("retries %v", o.retries)
		}
	})
}

// A Get lasts until its body is closed, and fails where its body does.
func TestObserveBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		below, o := memory.New(memory.Options{}), &observer{}
		below.Set("k", []byte("0123456789"), objstore.Attributes{})
		below.Inject(memory.Fault{Op: objstore.OpGet, Err: objstore.ErrUnavailable, CutBody: 4})
		body, _, err := objstore.WithObserver(below, o).Get(t.Context(), "k", objstore.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("read: %v", err)
		}
		time.Sleep(3 * time.Second)
		if len(o.requests) > 0 {
			t.Errorf("observed before Close: %+v", o.requests)
		}
		for range 2 {
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
		if want := []observation{{objstore.OpGet, "unavailable", 3 * time.Second, 0, 4}}; !slices.Equal(o.requests, want) {
			t.Errorf("observed %+v instead of %+v", o.requests, want)
		}
	})
}
