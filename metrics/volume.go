package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Volume is the observers of one volume. Its series are looked up once, so that an
// observation costs no more than finding its operation in a map and a few atomic
// additions; it allocates nothing. All methods may be called from many goroutines at
// once and none blocks.
type Volume struct {
	operations map[string]operation
	requests   map[string]request

	sent, received prometheus.Counter

	source atomic.Pointer[func() State] // nil, or what SetSource was given
}

// volume creates all series of a mounted volume.
func (t *table) volume(name string) *Volume {
	return &Volume{
		operations: t.operations(name),
		requests:   t.requests(name),
		sent:       t.s3Bytes.WithLabelValues("sent", name),
		received:   t.s3Bytes.WithLabelValues("received", name),
	}
}
