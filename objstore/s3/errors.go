package s3

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// kinds is the table from S3's error codes to objstore's kinds. What is not in it
// goes by its HTTP status.
var kinds = map[string]error{
	"NoSuchKey":     objstore.ErrNotFound,
	"NoSuchUpload":  objstore.ErrNotFound,
	"NoSuchVersion": objstore.ErrNotFound,
	"NoSuchBucket":  objstore.ErrNoBucket,

	"PreconditionFailed": objstore.ErrPreconditionFailed,
	"InvalidRange":       objstore.ErrInvalidRange,

	"AccessDenied":                       objstore.ErrAccessDenied,
	"AllAccessDisabled":                  objstore.ErrAccessDenied,
	"AuthorizationHeaderMalformed":       objstore.ErrAccessDenied,
	"ExpiredToken":                       objstore.ErrAccessDenied,
	"IllegalLocationConstraintException": objstore.ErrAccessDenied,
	"InvalidAccessKeyId":                 objstore.ErrAccessDenied,
	"InvalidRegion":                      objstore.ErrAccessDenied,
	"InvalidToken":                       objstore.ErrAccessDenied,
	"PermanentRedirect":                  objstore.ErrAccessDenied,
	"RequestTimeTooSkewed":               objstore.ErrAccessDenied,
	"SignatureDoesNotMatch":              objstore.ErrAccessDenied,
	"XAdminUserNotFound":                 objstore.ErrAccessDenied,

	"EntityTooLarge":                objstore.ErrInvalid,
	"EntityTooSmall":                objstore.ErrInvalid,
	"ExistingObjectIsDirectory":     objstore.ErrInvalid,
	"InvalidArgument":               objstore.ErrInvalid,
	"InvalidPart":                   objstore.ErrInvalid,
	"InvalidPartOrder":              objstore.ErrInvalid,
	"InvalidRequest":                objstore.ErrInvalid,
	"KeyTooLongError":               objstore.ErrInvalid,
	"MetadataTooLarge":              objstore.ErrInvalid,
	"ObjectParentIsFile":            objstore.ErrInvalid,
	"DirectoryObjectContainsData":   objstore.ErrInvalid,
	"XMinioInvalidObjectName":       objstore.ErrInvalid,
	"XMinioObjectExistsAsDirectory": objstore.ErrInvalid,
	"XMinioParentIsObject":          objstore.ErrInvalid,

	"MethodNotAllowed": objstore.ErrUnsupported,
	"NotImplemented":   objstore.ErrUnsupported,

	"InsufficientStorage":            objstore.ErrNoSpace,
	"QuotaExceeded":                  objstore.ErrNoSpace,
	"XMinioAdminBucketQuotaExceeded": objstore.ErrNoSpace,
	"XMinioStorageFull":              objstore.ErrNoSpace,

	// The body was damaged or cut on its way: 400, but not the request's fault.
	"BadDigest":                   objstore.ErrUnavailable,
	"IncompleteBody":              objstore.ErrUnavailable,
	"RequestTimeout":              objstore.ErrUnavailable,
	"XAmzContentChecksumMismatch": objstore.ErrUnavailable,
	// Two conditional writes met, and this one was not decided.
	"ConditionalRequestConflict": objstore.ErrUnavailable,
	"OperationAborted":           objstore.ErrUnavailable,
}

// kindOfStatus is the kind of an answer whose code says nothing.
func kindOfStatus(status int) error {
	switch status {
	case http.StatusNotFound:
		return objstore.ErrNotFound
	case http.StatusPreconditionFailed:
		return objstore.ErrPreconditionFailed
	case http.StatusRequestedRangeNotSatisfiable:
		return objstore.ErrInvalidRange
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMovedPermanently:
		return objstore.ErrAccessDenied
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return objstore.ErrUnsupported
	case http.StatusInsufficientStorage:
		return objstore.ErrNoSpace
	case http.StatusBadRequest, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		return objstore.ErrInvalid
	}
	return objstore.ErrUnavailable
}

// hints say what to do about an answer, by code.
var hints = map[string]string{
	"InvalidAccessKeyId":    "check the access key",
	"XAdminUserNotFound":    "check the access key",
	"SignatureDoesNotMatch": "check the secret key, and that nothing between here and the store rewrites requests",
	"ExpiredToken":          "the session token has expired: get a new one",
	"RequestTimeTooSkewed":  "set this host's clock",
	"AccessDenied":          "check the credentials and what their policy allows",
}

// kindOf returns the kind of a server's answer.
func kindOf(r minio.ErrorResponse) error {
	if kind, ok := kinds[r.Code]; ok {
		return kind
	}
	return kindOfStatus(r.StatusCode)
}

// answer turns a server's answer into an error of its kind.
func answer(r minio.ErrorResponse) error {
	text := lowerFirst(r.Message)
	switch hint := hints[r.Code]; {
	case r.Region != "" && (r.Code == "AuthorizationHeaderMalformed" || r.Code == "PermanentRedirect" || r.Code == "InvalidRegion"):
		text += fmt.Sprintf(": the bucket is in region %q: set it", r.Region)
	case hint != "":
		text += ": " + hint
	}
	return fmt.Errorf("%w: %s (%s, status %d)", kindOf(r), text, r.Code, r.StatusCode)
}

// unreachable is the error of an exchange that got no answer. It does not wrap the
// cause, because a timeout of the connection would pass for the context's. The URL
// around it is left out: it may hold a signature.
func unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	hint := ""
	_, unknown := errors.AsType[*net.DNSError](err)
	_, foreign := errors.AsType[x509.UnknownAuthorityError](err)
	_, renamed := errors.AsType[x509.HostnameError](err)
	switch {
	case foreign:
		hint = ": if it is the store's own, give the authority's certificate by ca-cert"
	case renamed:
		hint = ": check the host name of the endpoint"
	case unknown:
		hint = ": check the host name of the endpoint"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		hint = ": nothing listens there, check the endpoint and that the store is running"
	}
	return fmt.Errorf("%w: %s%s", objstore.ErrUnavailable, err.Error(), hint)
}

// fail makes the OpError of a request. Order matters: an answer of the server counts
// even if the context ended since; a timeout of the connection looks like a context's
// but is the store's; anything else on the wire leaves the outcome open.
func fail(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*objstore.OpError](err); ok {
		return &objstore.OpError{Op: op, Key: key, Err: known.Err}
	}
	skew, skewed := errors.AsType[*skewError](err)
	switch response, ok := errors.AsType[minio.ErrorResponse](err); {
	case ok:
		err = answer(response)
	case skewed:
		err = fmt.Errorf("%w: %w", objstore.ErrAccessDenied, skew)
	case ctx.Err() != nil:
		err = ctx.Err()
	case !objstore.Refused(err) && !errors.Is(err, objstore.ErrUnavailable):
		err = unreachable(err)
	}
	return &objstore.OpError{Op: op, Key: key, Err: err}
}

// failWrite is fail for a conditional write: AWS answers 404 to an If-Match on a key
// that does not exist.
func failWrite(ctx context.Context, op, key string, cond objstore.Condition, err error) error {
	if response, ok := errors.AsType[minio.ErrorResponse](err); ok && cond.IfMatch != "" && response.Code == "NoSuchKey" {
		response.Code = "PreconditionFailed"
		err = response
	}
	return fail(ctx, op, key, err)
}
