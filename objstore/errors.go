package objstore

import (
	"context"
	"errors"
	"fmt"
)

// The kinds of failure. Implementations wrap one of them; callers use errors.Is.
var (
	// ErrNotFound: no such object, upload or source.
	ErrNotFound = errors.New("no such object")
	// ErrPreconditionFailed: the condition of a request did not hold.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrInvalidRange: the range begins at or beyond the end of the object.
	ErrInvalidRange = errors.New("range not satisfiable")
	// ErrAccessDenied: the credentials do not allow the request, or are wrong.
	ErrAccessDenied = errors.New("access denied")
	// ErrNoBucket: the bucket does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrInvalid: the store can never accept this request (key, size, metadata).
	ErrInvalid = errors.New("request not valid")
	// ErrUnsupported: the store does not know this kind of request.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrNoSpace: the store is full or a quota is used up.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrUnavailable: the store could not be reached, was busy, or its answer was
	// lost. The only kind that is worth another attempt; the outcome is open.
	ErrUnavailable = errors.New("store not available")
)

// OpError says which request failed. Implementations of Bucket return every error of
// a request as one of these; wrappers add none.
type OpError struct {
	Op  string // one of Ops
	Key string // as the caller gave it
	Err error  // wraps one of the kinds above
}

func (e *OpError) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Key, e.Err) }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// The names of the requests, in OpError.Op and in what an Observer sees.
const (
	OpHead           = "head"
	OpGet            = "get"
	OpPut            = "put"
	OpDelete         = "delete"
	OpDeleteMany     = "delete_many"
	OpSetAttributes  = "set_attributes"
	OpList           = "list"
	OpCreateUpload   = "create_upload"
	OpUploadPart     = "upload_part"
	OpCopyPart       = "copy_part"
	OpCompleteUpload = "complete_upload"
	OpAbortUpload    = "abort_upload"
)

// Refused reports whether the store answered a request with a definite no, so that
// a write certainly did not happen. It is false for nil.
func Refused(err error) bool {
	for _, kind := range []error{ErrNotFound, ErrPreconditionFailed, ErrInvalidRange, ErrAccessDenied, ErrNoBucket, ErrInvalid, ErrUnsupported, ErrNoSpace} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Outcome names the result of a request for logs and metrics: one of Outcomes.
func Outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrPreconditionFailed):
		return "precondition"
	case errors.Is(err, ErrAccessDenied), errors.Is(err, ErrNoBucket):
		return "denied"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

// Outcomes lists what Outcome can return.
var Outcomes = []string{"ok", "not_found", "precondition", "denied", "unavailable", "cancelled", "error"}

// Ops lists the names of the requests.
var Ops = []string{OpHead, OpGet, OpPut, OpDelete, OpDeleteMany, OpSetAttributes, OpList, OpCreateUpload, OpUploadPart, OpCopyPart, OpCompleteUpload, OpAbortUpload}
