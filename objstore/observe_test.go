package objstore_test

import (
	"context"
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

// Of a body that lies in a file what was sent counts, and who made it is told as well.
func TestObserveFile(t *testing.T) {
	t.Parallel()
	told, o := 0, &observer{}
	body := inFile{objstore.Bytes("0123456789"), objstore.FileRange{Length: 10, Moved: func(n int, _ bool) { told += n }}}
	_, err := objstore.WithObserver(sendsFiles{}, o).UploadPart(t.Context(), "k", "id", 1, body)
	if err != nil || len(o.requests) != 1 || o.requests[0].sent != 4 || told != 10+4 {
		t.Errorf("observed %+v, told of %d bytes, error %v", o.requests, told, err)
	}
}

type inFile struct {
	objstore.Body
	at objstore.FileRange
}

func (f inFile) InFile() (objstore.FileRange, bool) { return f.at, true }

// sendsFiles is a bucket that reads all of a part and sends 4 bytes of it.
type sendsFiles struct{ objstore.Bucket }

func (sendsFiles) UploadPart(_ context.Context, _, _ string, _ int, body objstore.Body) (objstore.Part, error) {
	in, ok := objstore.InFile(body)
	if !ok {
		return objstore.Part{}, objstore.ErrInvalid
	}
	in.Moved(int(in.Length), false)
	in.Moved(4, true)
	return objstore.Part{}, nil
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
