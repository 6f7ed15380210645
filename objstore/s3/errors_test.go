package s3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

func TestKinds(t *testing.T) {
	tests := []struct {
		code   string
		status int
		want   error
	}{
		{"NoSuchKey", 404, objstore.ErrNotFound},
		{"NoSuchUpload", 404, objstore.ErrNotFound},
		{"", 404, objstore.ErrNotFound},
		{"NoSuchBucket", 404, objstore.ErrNoBucket},
		{"PreconditionFailed", 412, objstore.ErrPreconditionFailed},
		{"", 412, objstore.ErrPreconditionFailed},
		{"ConditionalRequestConflict", 409, objstore.ErrUnavailable},
		{"OperationAborted", 409, objstore.ErrUnavailable},
		{"", 409, objstore.ErrUnavailable},
		{"InvalidRange", 416, objstore.ErrInvalidRange},
		{"", 416, objstore.ErrInvalidRange},
		{"AccessDenied", 403, objstore.ErrAccessDenied},
		{"SignatureDoesNotMatch", 403, objstore.ErrAccessDenied},
		{"InvalidAccessKeyId", 403, objstore.ErrAccessDenied},
		{"AuthorizationHeaderMalformed", 400, objstore.ErrAccessDenied},
		{"PermanentRedirect", 301, objstore.ErrAccessDenied},
		{"", 401, objstore.ErrAccessDenied},
		{"", 403, objstore.ErrAccessDenied},
		{"EntityTooLarge", 400, objstore.ErrInvalid},
		{"XMinioParentIsObject", 400, objstore.ErrInvalid},
		{"ObjectParentIsFile", 409, objstore.ErrInvalid},
		{"", 400, objstore.ErrInvalid},
		{"NotImplemented", 501, objstore.ErrUnsupported},
		{"", 501, objstore.ErrUnsupported},
		{"XMinioStorageFull", 507, objstore.ErrNoSpace},
		{"XMinioAdminBucketQuotaExceeded", 400, objstore.ErrNoSpace},
		{"", 507, objstore.ErrNoSpace},
		{"XAmzContentChecksumMismatch", 400, objstore.ErrUnavailable},
		{"IncompleteBody", 400, objstore.ErrUnavailable},
		{"SlowDown", 503, objstore.ErrUnavailable},
		{"InternalError", 500, objstore.ErrUnavailable},
		{"", 429, objstore.ErrUnavailable},
		{"", 502, objstore.ErrUnavailable},
	}
	for _, tt := range tests {
		err := fail(t.Context(), objstore.OpPut, "k", minio.ErrorResponse{Code: tt.code, StatusCode: tt.status, Message: "Text."})
		if !errors.Is(err, tt.want) {
			t.Errorf("%q with status %d: %v, want %v", tt.code, tt.status, err, tt.want)
		}
		if op, ok := errors.AsType[*objstore.OpError](err); !ok || op.Op != objstore.OpPut || op.Key != "k" {
			t.Errorf("%q with status %d: %v is no OpError of the request", tt.code, tt.status, err)
		}
	}
}

func TestMissingKeyOfAConditionalWrite(t *testing.T) {
	missing := minio.ErrorResponse{Code: "NoSuchKey", StatusCode: http.StatusNotFound}
	match := objstore.Condition{IfMatch: "e"}
	if err := failWrite(t.Context(), objstore.OpPut, "k", match, missing); !errors.Is(err, objstore.ErrPreconditionFailed) || errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("If-Match: %v, want a failed precondition", err)
	}
	if err := failWrite(t.Context(), objstore.OpPut, "k", objstore.Condition{}, missing); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("no condition: %v, want not found", err)
	}
	upload := minio.ErrorResponse{Code: "NoSuchUpload", StatusCode: http.StatusNotFound}
	if err := failWrite(t.Context(), objstore.OpCompleteUpload, "k", match, upload); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("missing upload: %v, want not found", err)
	}
}

func TestTransportErrors(t *testing.T) {
	const signature = "X-Amz-Signature=abc"
	for _, cause := range []error{
		syscall.ECONNRESET,
		syscall.ECONNREFUSED,
		&net.DNSError{Err: "no such host", Name: "nowhere", IsNotFound: true},
		os.ErrDeadlineExceeded,
		context.DeadlineExceeded, // net/http's own timeouts pass for it
	} {
		err := fail(t.Context(), objstore.OpDelete, "k", &url.Error{Op: "Delete", URL: "http://host/k?" + signature, Err: cause})
		if !errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: %v, want unavailable and no context's error", cause, err)
		}
		if strings.Contains(err.Error(), signature) {
			t.Errorf("message holds a signature: %v", err)
		}
		if objstore.Refused(err) {
			t.Errorf("%v: refused, but the outcome is open", cause)
		}
	}
}

func TestContextErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fail(ctx, objstore.OpPut, "k", syscall.ECONNRESET); !errors.Is(err, context.Canceled) || errors.Is(err, objstore.ErrUnavailable) {
		t.Errorf("%v, want the context's error alone", err)
	}
	refusal := minio.ErrorResponse{Code: "PreconditionFailed", StatusCode: 412}
	if err := fail(ctx, objstore.OpPut, "k", refusal); !errors.Is(err, objstore.ErrPreconditionFailed) {
		t.Errorf("%v, want the answer that did arrive", err)
	}
}

func TestHints(t *testing.T) {
	tests := []struct {
		response minio.ErrorResponse
		want     string
	}{
		{minio.ErrorResponse{Code: "InvalidAccessKeyId", StatusCode: 403, Message: "No such id."}, "no such id: check the access key"},
		{minio.ErrorResponse{Code: "SignatureDoesNotMatch", StatusCode: 403}, "check the secret key"},
		{minio.ErrorResponse{Code: "RequestTimeTooSkewed", StatusCode: 403}, "clock"},
		{minio.ErrorResponse{Code: "AuthorizationHeaderMalformed", StatusCode: 400, Region: "eu-west-1"}, `region "eu-west-1"`},
	}
	for _, tt := range tests {
		if err := answer(tt.response); !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.response.Code, err, tt.want)
		}
	}
}
