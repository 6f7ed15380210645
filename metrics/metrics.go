package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is all metrics of one process, on a registry of their own. All methods may be
// called from many goroutines at once.
type Metrics struct {
	registry *prometheus.Registry
	table    *table
	noVolume calls // calls about no volume, or about none that exists

	// mu protects volumes. It is a leaf: nothing is called with it held.
	mu      sync.RWMutex
	volumes map[string]*entry
}

// entry is a known volume. It is immutable: Volume replaces it.
type entry struct {
	calls  calls
	volume *Volume // nil before its first mount
}

// New returns the metrics of a program of this version, with the Go runtime's and the
// process's own beside them.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		table:    newTable(),
		volumes:  make(map[string]*entry),
	}
	m.noVolume = m.table.calls("", anyMethod)
	for _, v := range m.table.all {
		m.registry.MustRegister(v)
	}
	m.registry.MustRegister(
		&states{metrics: m, table: newStateTable()},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace:   namespace,
			Name:        "build_info",
			Help:        "1, with what is running as labels.",
			ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Disk reports how long the disk of the content files took for a "read" or a "write".
func (m *Metrics) Disk(op string, took time.Duration) {
	m.table.cacheDisk.WithLabelValues(op).Observe(took.Seconds())
}

// Add makes a volume known, with the series of its calls and states. A program that
// starts adds the volumes that it has; a successful create adds its own.
func (m *Metrics) Add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(name)
}

func (m *Metrics) addLocked(name string) *entry {
	e := m.volumes[name]
	if e == nil {
		e = &entry{calls: m.table.calls(name, volumeMethods)}
		m.volumes[name] = e
	}
	return e
}

// Volume returns the observers of a volume and creates all its series, on first use. It
// is the same value until Forget.
func (m *Metrics) Volume(name string) *Volume {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.addLocked(name)
	if e.volume == nil {
		e = &entry{calls: e.calls, volume: m.table.volume(name)}
		m.volumes[name] = e
	}
	return e.volume
}

// Forget deletes all series of a volume that was removed. What its observers are still
// told goes nowhere.
func (m *Metrics) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.volumes[name] == nil {
		return
	}
	delete(m.volumes, name)
	for _, v := range m.table.all {
		v.DeletePartialMatch(prometheus.Labels{"volume": name})
	}
}
