package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the labels op and outcome of requests to the store, as objstore names
// them, and one for all ops that are not here.
var (
	requestOps    = []string{"head", "get", "put", "delete", "delete_many", "set_attributes", "list", "create_upload", "upload_part", "copy_part", "complete_upload", "abort_upload", other}
	errorOutcomes = []string{"not_found", "precondition", "denied", "unavailable", "cancelled", otherOutcome}
)

const (
	okOutcome    = "ok"
	otherOutcome = "error"
)

// request is the series of one kind of request to the store.
type request struct {
	duration prometheus.Observer
	retries  prometheus.Counter
	errors   map[string]prometheus.Counter // by outcome
}

func (t *table) requests(volume string) map[string]request {
	all := make(map[string]request, len(requestOps))
	for _, op := range requestOps {
		errors := make(map[string]prometheus.Counter, len(errorOutcomes))
		for _, outcome := range errorOutcomes {
			errors[outcome] = t.s3Errors.WithLabelValues(op, outcome, volume)
		}
		all[op] = request{
			duration: t.s3Duration.WithLabelValues(op, volume),
			retries:  t.s3Retries.WithLabelValues(op, volume),
			errors:   errors,
		}
	}
	return all
}

func (v *Volume) request(op string) request {
	if r, ok := v.requests[op]; ok {
		return r
	}
	return v.requests[other]
}

// Request reports one attempt of a request to the store: its name, its outcome, how long
// it took and the body bytes each way.
func (v *Volume) Request(op, outcome string, took time.Duration, sent, received int64) {
	r := v.request(op)
	r.duration.Observe(took.Seconds())
	v.sent.Add(float64(sent))
	v.received.Add(float64(received))
	if outcome == okOutcome {
		return
	}
	counter, ok := r.errors[outcome]
	if !ok {
		counter = r.errors[otherOutcome]
	}
	counter.Inc()
}

// Retry reports that a failed attempt is about to be repeated.
func (v *Volume) Retry(op string) { v.request(op).retries.Inc() }
