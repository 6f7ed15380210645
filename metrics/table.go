package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// namespace begins every name.
const namespace = "objvol"

// other is the label value of what is not in a fixed set.
const other = "other"

// The upper bounds of the histograms, in seconds. They are few: each is a series, per
// volume and operation.
var (
	// A request of the kernel is answered from memory, from the disk or over the network.
	ioBuckets = []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 25e-3, 100e-3, 250e-3, 1, 5, 30}
	// A request to a store takes a round trip or sends many megabytes.
	s3Buckets = []float64{1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10, 30, 60}
	// A call is answered from memory, mounts, or drains: the deadlines are 25 s and 50 s.
	callBuckets = []float64{1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 1, 5, 10, 25, 50}
)

// table is every metric that is pushed.
type table struct {
	callDuration *prometheus.HistogramVec
	callErrors   *prometheus.CounterVec

	ioDuration *prometheus.HistogramVec
	ioBytes    *prometheus.CounterVec
	ioErrors   *prometheus.CounterVec

	fuseOperations *prometheus.CounterVec
	fuseSeconds    *prometheus.CounterVec
	fuseErrors     *prometheus.CounterVec

	s3Duration *prometheus.HistogramVec
	s3Errors   *prometheus.CounterVec
	s3Retries  *prometheus.CounterVec
	s3Bytes    *prometheus.CounterVec

	cacheDisk *prometheus.HistogramVec

	all []vec // the fields above
}

// vec is a metric with labels.
type vec interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

func newTable() *table {
	t := &table{}
	t.callDuration = t.histogram("call_duration_seconds", "Time to answer a call of the volume plugin protocol; without a volume, calls about none that exists.", callBuckets, "method", "volume")
	t.callErrors = t.counter("call_errors_total", "Calls of the volume plugin protocol that were answered with an error.", "method", "volume")

	t.ioDuration = t.histogram("io_duration_seconds", "Time to answer the kernel's requests about open files. What the page cache answers is not seen.", ioBuckets, "op", "volume")
	t.ioBytes = t.counter("io_bytes_total", "Bytes that the kernel read and wrote by these requests.", "op", "volume")
	t.ioErrors = t.counter("io_errors_total", "Requests about open files that were answered with an error.", "op", "volume")

	t.fuseOperations = t.counter("fuse_operations_total", "The kernel's other requests.", "op", "volume")
	t.fuseSeconds = t.counter("fuse_operation_seconds_total", "Time spent on answering the kernel's other requests.", "op", "volume")
	t.fuseErrors = t.counter("fuse_errors_total", "The kernel's other requests that were answered with an error, such as names that do not exist.", "op", "volume")

	t.s3Duration = t.histogram("s3_request_duration_seconds", "Time of each attempt of a request to the store; of a get until its body was read.", s3Buckets, "op", "volume")
	t.s3Errors = t.counter("s3_request_errors_total", "Attempts without success, by outcome. An absent object and a condition that did not hold are ordinary answers.", "op", "outcome", "volume")
	t.s3Retries = t.counter("s3_request_retries_total", "Attempts that were repeated.", "op", "volume")
	t.s3Bytes = t.counter("s3_bytes_total", "Bytes of objects sent to and received from the store.", "direction", "volume")

	t.cacheDisk = t.histogram("cache_disk_seconds", "Time of a write of 4 KiB that is safe on the disk of the state directory, and of a read of them from there, measured every few seconds.", ioBuckets, "op")
	return t
}

func (t *table) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	t.all = append(t.all, v)
	return v
}

func (t *table) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	t.all = append(t.all, v)
	return v
}

// stateMetric is a metric that is read off a volume's State at each scrape.
type stateMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(State) float64
}

// newStateTable is every metric that is pulled, but for the number of mounts.
func newStateTable() []stateMetric {
	define := func(name, help string, kind prometheus.ValueType, value func(State) float64) stateMetric {
		desc := prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, []string{"volume"}, nil)
		return stateMetric{desc, kind, value}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []stateMetric{
		define("volume_mounted", "1 while the volume is mounted on this host.", gauge, func(s State) float64 { return oneIf(s.Mounted) }),
		define("volume_references", "Mounts that Docker holds on the volume.", gauge, func(s State) float64 { return float64(s.References) }),
		define("volume_failing", "1 while the last attempt to bring the volume's changes to the bucket failed.", gauge, func(s State) float64 { return oneIf(s.Failing) }),
		define("dirty_bytes", "Bytes that are not in the bucket yet.", gauge, func(s State) float64 { return float64(s.DirtyBytes) }),
		define("dirty_files", "Files and directories that are not in the bucket as they are here.", gauge, func(s State) float64 { return float64(s.DirtyFiles) }),
		define("dirty_age_seconds", "How long the change has waited that waits longest to be in the bucket; of those before the volume was opened, since then.", gauge, func(s State) float64 { return s.DirtyAge }),
		define("upload_queue_length", "Changes that wait for a request to the bucket.", gauge, func(s State) float64 { return float64(s.QueueLength) }),
		define("s3_write_limit", "Requests that change the bucket and may run at once: as many as the store was found to take.", gauge, func(s State) float64 { return float64(s.WriteLimit) }),
		define("cache_bytes", "Bytes of content in the local cache.", gauge, func(s State) float64 { return float64(s.CacheBytes) }),
		define("cache_hits_total", "Reads that the local cache answered.", counter, func(s State) float64 { return float64(s.CacheHits) }),
		define("cache_misses_total", "Reads that had to wait for the bucket.", counter, func(s State) float64 { return float64(s.CacheMisses) }),
		define("prefetched_files_total", "Small files that were fetched before anybody read them.", counter, func(s State) float64 { return float64(s.Ahead) }),
		define("prefetched_bytes_total", "Bytes of the small files that were fetched before anybody read them.", counter, func(s State) float64 { return float64(s.AheadBytes) }),
		define("prefetched_files_wasted_total", "Files that were fetched ahead and that nobody read.", counter, func(s State) float64 { return float64(s.Wasted) }),
		define("prefetched_bytes_wasted_total", "Bytes of the files that were fetched ahead and that nobody read.", counter, func(s State) float64 { return float64(s.WastedBytes) }),
		define("open_seconds_total", "Time that files were open whose reads and writes the kernel does itself, from the first open to the last close, counted at that.", counter, func(s State) float64 { return s.PassedSeconds }),
		define("passthrough_changes_total", "Times that a file was found changed by what the kernel did itself.", counter, func(s State) float64 { return float64(s.PassedChanges) }),
		define("passthrough_changed_bytes_total", "Bytes that were found changed by what the kernel did itself when they were sent, by the MiB; of files under 16 MiB, all.", counter, func(s State) float64 { return float64(s.PassedBytes) }),
		define("passthrough_failures_total", "Files that an error kept from being given to the kernel; they were served as without passthrough.", counter, func(s State) float64 { return float64(s.OpensRefused) }),
		define("conflicts_total", "Files kept under another name because the bucket's version was not ours.", counter, func(s State) float64 { return float64(s.Conflicts) }),
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
