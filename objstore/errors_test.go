package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"objvol/objstore"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	for err, c := range map[error]struct {
		refused bool
		outcome string
	}{
		objstore.ErrNotFound:           {true, "not_found"},
		objstore.ErrPreconditionFailed: {true, "precondition"},
		objstore.ErrInvalidRange:       {true, "error"},
		objstore.ErrAccessDenied:       {true, "denied"},
		objstore.ErrNoBucket:           {true, "denied"},
		objstore.ErrInvalid:            {true, "error"},
		objstore.ErrUnsupported:        {true, "error"},
		objstore.ErrNoSpace:            {true, "error"},
		objstore.ErrUnavailable:        {false, "unavailable"},
		context.Canceled:               {false, "cancelled"},
		context.DeadlineExceeded:       {false, "cancelled"},
		errors.New("unknown"):          {false, "error"},
	} {
		wrapped := &objstore.OpError{Op: objstore.OpPut, Key: "k", Err: fmt.Errorf("%w: status 400", err)}
		if have := objstore.Refused(wrapped); have != c.refused {
			t.Errorf("Refused(%v) = %v", err, have)
		}
		if have := objstore.Outcome(wrapped); have != c.outcome || !slices.Contains(objstore.Outcomes, have) {
			t.Errorf("Outcome(%v) = %q", err, have)
		}
	}
	if objstore.Refused(nil) || objstore.Outcome(nil) != "ok" {
		t.Error("no error is a failure")
	}
}

func TestOpError(t *testing.T) {
	t.Parallel()
	err := &objstore.OpError{Op: objstore.OpGet, Key: "a b", Err: objstore.ErrNotFound}
	if have, want := err.Error(), `get "a b": no such object`; have != want {
		t.Errorf("%q instead of %q", have, want)
	}
}
