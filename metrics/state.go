package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// State is what holds of a volume at one moment. The zero State is that of a volume that
// is not mounted and owes the bucket nothing.
type State struct {
	Mounted    bool
	References int // mounts that Docker holds

	DirtyBytes  int64   // not in the bucket yet
	DirtyFiles  int64   // not in the bucket as they are here
	DirtyAge    float64 // seconds that the oldest change has waited
	QueueLength int64   // changes that wait for a request
	WriteLimit  int     // requests that change the bucket and may run at once
	Failing     bool    // the last attempt to bring changes to the bucket failed

	CacheBytes  int64  // content on this host
	CacheHits   uint64 // reads answered by the cache, since the volume was mounted
	CacheMisses uint64 // reads that waited for the bucket, since the volume was mounted
	Ahead       uint64 // small files fetched before anybody read them, since the volume was mounted
	AheadBytes  uint64 // of those
	Wasted      uint64 // those of them that nobody read in the end
	WastedBytes uint64 // of those
	Conflicts   uint64 // files kept under another name, since the volume was mounted

	OpensPassed   uint64  // opens of files that the kernel reads and writes itself
	OpensMediated uint64  // opens of other files
	OpensRefused  uint64  // files that an error kept from being passed to the kernel
	PassedSeconds float64 // sum over the files that were passed, from first open to last release
	PassedChanges uint64  // times that such a file was found changed
	PassedBytes   uint64  // that were found changed then

	Hidden map[string]int64 // objects that no file can stand for, by reason, as far as they were listed
}

// SetSource says whom to ask for the volume's state at a scrape; nil stands for the zero
// State. The source must answer from memory: a scrape waits for it.
func (v *Volume) SetSource(source func() State) {
	if source == nil {
		v.source.Store(nil)
		return
	}
	v.source.Store(&source)
}

// state asks the source. A volume without one, or never mounted, has the zero State.
func (v *Volume) state() State {
	if v == nil {
		return State{}
	}
	if source := v.source.Load(); source != nil {
		return (*source)()
	}
	return State{}
}

// states collects the states of all known volumes.
type states struct {
	metrics *Metrics
	table   []stateMetric
}

var hiddenDesc = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "hidden_keys"),
	"Objects of other tools that cannot be shown as files, in the directories that were listed since the volume was mounted.",
	[]string{"reason", "volume"}, nil)

var opensDesc = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "opens_total"),
	"Files that were opened: passthrough are those that the kernel reads and writes itself.", []string{"mode", "volume"}, nil)

var mountsDesc = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "mounts"), "Volumes that are mounted on this host.", nil, nil)

// Describe sends the definitions.
func (s *states) Describe(ch chan<- *prometheus.Desc) {
	ch <- mountsDesc
	ch <- hiddenDesc
	ch <- opensDesc
	for _, d := range s.table {
		ch <- d.desc
	}
}

// Collect asks every volume once, so that the values of one scrape belong together.
func (s *states) Collect(ch chan<- prometheus.Metric) {
	mounts := 0
	for name, v := range s.metrics.all() {
		state := v.state()
		if state.Mounted {
			mounts++
		}
		for _, d := range s.table {
			ch <- prometheus.MustNewConstMetric(d.desc, d.kind, d.value(state), name)
		}
		for mode, n := range map[string]uint64{"passthrough": state.OpensPassed, "mediated": state.OpensMediated} {
			ch <- prometheus.MustNewConstMetric(opensDesc, prometheus.CounterValue, float64(n), mode, name)
		}
		for reason, n := range state.Hidden {
			ch <- prometheus.MustNewConstMetric(hiddenDesc, prometheus.GaugeValue, float64(n), reason, name)
		}
	}
	ch <- prometheus.MustNewConstMetric(mountsDesc, prometheus.GaugeValue, float64(mounts))
}

// all returns the known volumes. Those never mounted are nil.
func (m *Metrics) all() map[string]*Volume {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make(map[string]*Volume, len(m.volumes))
	for name, e := range m.volumes {
		all[name] = e.volume
	}
	return all
}
