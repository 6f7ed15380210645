package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label method.
var (
	volumeMethods = []string{"create", "remove", "mount", "path", "unmount", "get"}
	anyMethod     = append([]string{"activate", "capabilities", "list", other}, volumeMethods...)
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
		c[method] = call{
			duration: t.callDuration.WithLabelValues(method, volume),
			errors:   t.callErrors.WithLabelValues(method, volume),
		}
	}
	return c
}

// Call reports one answered call of the volume plugin protocol: its method in lower case
// ("mount"), the volume it names or "", how long it took and the error it was answered
// with. A create without error makes its volume known, as Add does.
func (m *Metrics) Call(method, volume string, took time.Duration, err error) {
	if method == "create" && err == nil {
		m.Add(volume)
	}
	c, ok := call{}, false
	if e := m.entry(volume); e != nil {
		c, ok = e.calls[method]
	}
	if !ok {
		c, ok = m.noVolume[method]
	}
	if !ok {
		c = m.noVolume[other]
	}
	c.duration.Observe(took.Seconds())
	if err != nil {
		c.errors.Inc()
	}
}
