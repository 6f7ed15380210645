package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The methods of the protocol, as its paths spell them. Their label values are in lower
// case, as all others.
var (
	volumeMethods = []string{"Create", "Remove", "Mount", "Path", "Unmount", "Get"}
	anyMethod     = append([]string{"Activate", "Capabilities", "List", other}, volumeMethods...)
)

// calls is the series of the calls about one volume, by method.
type calls map[string]call

type call struct {
	duration prometheus.Observer
	errors   prometheus.Counter
}

func (t *table) calls(volume string, methods []string) calls {
	c := make(calls, len(methods))
	for _, method := range methods {
		label := strings.ToLower(method)
		c[method] = call{
			duration: t.callDuration.WithLabelValues(label, volume),
			errors:   t.callErrors.WithLabelValues(label, volume),
		}
	}
	return c
}

// Call reports one answered call of the volume plugin protocol: its method ("Mount"), the
// volume it is about or "", how long it took and the error it was answered with. A Create
// without error makes its volume known, as Add does.
func (m *Metrics) Call(method, volume string, took time.Duration, err error) {
	if method == "Create" && err == nil && volume != "" {
		m.Add(volume)
	}
	c := m.call(method, volume)
	c.duration.Observe(took.Seconds())
	if err != nil {
		c.errors.Inc()
	}
}

// call returns the narrowest series that there is for a call.
func (m *Metrics) call(method, volume string) call {
	m.mu.RLock()
	e := m.volumes[volume]
	m.mu.RUnlock()
	if e != nil {
		if c, ok := e.calls[method]; ok {
			return c
		}
	}
	if c, ok := m.noVolume[method]; ok {
		return c
	}
	return m.noVolume[other]
}
