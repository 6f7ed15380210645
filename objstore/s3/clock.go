package s3

import (
	"fmt"
	"net/http"
	"time"
)

// maxSkew is how far from its own clock a store accepts a signature.
const maxSkew = 15 * time.Minute

// clock is a transport that looks at the store's clock when a request is denied: with a wrong
// clock here all are, and few stores say why in an answer without a body.
type clock struct{ *http.Transport }

// RoundTrip sends a request.
func (c clock) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusForbidden {
		return resp, err
	}
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return resp, nil // a store without a clock denies for other reasons
	}
	if ahead := time.Since(there); ahead.Abs() > maxSkew {
		_ = resp.Body.Close() // the answer is not read
		return nil, &skewError{ahead.Round(time.Second)}
	}
	return resp, nil
}

// skewError is a denial by a store whose clock is another.
type skewError struct{ ahead time.Duration }

func (e *skewError) Error() string {
	side := "ahead of"
	if e.ahead < 0 {
		side = "behind"
	}
	return fmt.Sprintf("this host's clock is %v %s the store's: set it", e.ahead.Abs(), side)
}
