package embedded

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"objvol/objstore"
)

// script is a bucket that notes its requests in a log and answers with an error.
type script struct {
	objstore.Bucket

	log *[]string
	err error
}

func (b script) note(op string) error {
	*b.log = append(*b.log, op)
	return b.err
}

func (b script) Put(context.Context, string, objstore.Body, objstore.PutOptions) (objstore.Object, error) {
	return objstore.Object{Key: "put"}, b.note("put")
}

func (b script) Delete(context.Context, string, objstore.Condition) error { return b.note("delete") }

func (b script) CompleteUpload(context.Context, string, string, []objstore.Part, objstore.Condition) (objstore.Object, error) {
	return objstore.Object{Key: "complete"}, b.note("complete")
}

func (b script) UploadPart(context.Context, string, string, int, objstore.Body) (objstore.Part, error) {
	return objstore.Part{}, b.note("part")
}

func (b script) Head(context.Context, string) (objstore.Object, error) {
	return objstore.Object{Key: "head"}, b.note("head")
}

// requests are the calls of a bucket, by the name that script notes.
func requests(ctx context.Context, b objstore.Bucket, name string) error {
	var err error
	switch name {
	case "put":
		_, err = b.Put(ctx, "k", nil, objstore.PutOptions{})
	case "delete":
		err = b.Delete(ctx, "k", objstore.Condition{})
	case "complete":
		_, err = b.CompleteUpload(ctx, "k", "id", nil, objstore.Condition{})
	case "part":
		_, err = b.UploadPart(ctx, "k", "id", 1, nil)
	case "head":
		_, err = b.Head(ctx, "k")
	}
	return err
}

// step is one request, with the answers of the store and of the sync, and what must happen
// in which order.
type step struct {
	request      string
	answer, sync error
	want         []string
	err          error
}

func TestDurable(t *testing.T) {
	disk := errors.New("broken disk")
	lost, refused := objstore.ErrUnavailable, objstore.ErrPreconditionFailed
	for name, steps := range map[string][]step{
		"writes are synced after their answer": {
			{request: "put", want: []string{"put", "sync"}},
			{request: "delete", want: []string{"delete", "sync"}},
			{request: "complete", want: []string{"complete", "sync"}},
		},
		"others are not": {
			{request: "part", want: []string{"part"}},
			{request: "head", want: []string{"head"}},
		},
		"a refusal needs no sync": {
			{request: "put", answer: refused, want: []string{"put"}, err: refused},
			{request: "head", want: []string{"head"}},
		},
		"a lost answer is found by head, which syncs": {
			{request: "put", answer: lost, want: []string{"put"}, err: lost},
			{request: "put", answer: refused, want: []string{"put"}, err: refused},
			{request: "head", answer: lost, want: []string{"head"}, err: lost},
			{request: "head", answer: objstore.ErrNotFound, want: []string{"head", "sync"}, err: objstore.ErrNotFound},
			{request: "head", want: []string{"head"}},
		},
		"a later write clears the doubt": {
			{request: "delete", answer: lost, want: []string{"delete"}, err: lost},
			{request: "put", want: []string{"put", "sync"}},
			{request: "head", want: []string{"head"}},
		},
		"a failed sync leaves the outcome open, for good": {
			{request: "put", sync: disk, want: []string{"put", "sync"}, err: objstore.ErrUnavailable},
			{request: "head", want: []string{"head"}, err: disk},
			{request: "delete", want: []string{"delete"}, err: disk},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log []string
				var syncErr error
				s := &Server{syncs: &syncs{sync: func() error { log = append(log, "sync"); return syncErr }}}
				bucket := &script{log: &log}
				b := s.Durable(bucket)
				for i, step := range steps {
					log, bucket.err, syncErr = nil, step.answer, step.sync
					err := requests(t.Context(), b, step.request)
					if !slices.Equal(log, step.want) {
						t.Errorf("step %d, %s: %v happened instead of %v", i, step.request, log, step.want)
					}
					if !errors.Is(err, step.err) || (err == nil) != (step.err == nil) {
						t.Errorf("step %d, %s: error is %v instead of %v", i, step.request, err, step.err)
					}
					op, ok := errors.AsType[*objstore.OpError](err)
					if errors.Is(step.err, disk) && (!ok || op.Op != step.request || op.Key != "k" || objstore.Refused(err) || !errors.Is(err, objstore.ErrUnavailable)) {
						t.Errorf("step %d, %s: error is %#v", i, step.request, err)
					}
				}
			})
		})
	}
}

// A write that is not waited for is in doubt until somebody waits.
func TestDurableCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		hold := make(chan struct{})
		s := &Server{syncs: &syncs{sync: func() error { <-hold; log = append(log, "sync"); return nil }}}
		b := s.Durable(&script{log: &log})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- requests(ctx, b, "put") }()
		synctest.Wait()
		head := make(chan error)
		go func() { head <- requests(t.Context(), b, "head") }() // finds a write under way
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || objstore.Refused(err) {
			t.Errorf("error is %v", err)
		}
		select {
		case err := <-head:
			t.Errorf("head did not wait: %v", err)
		default:
		}
		close(hold)
		if err := <-head; err != nil {
			t.Error(err)
		}
		s.syncs.close()
		if want := []string{"put", "head", "sync", "sync"}; !slices.Equal(log, want) {
			t.Errorf("%v happened instead of %v", log, want)
		}
	})
}
