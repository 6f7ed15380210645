package objstore

import "time"

// Observer is told of every request that leaves a bucket stack. Its methods are
// called from many goroutines and must not block.
type Observer interface {
	// Request reports one attempt: its name (Ops), its result (Outcomes), how long it
	// took (for Get: until the body was closed) and the body bytes each way.
	Request(op, outcome string, took time.Duration, sent, received int64)
	// Retry reports that a failed attempt is about to be repeated.
	Retry(op string)
}
