package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ioOperations says under which op a request about an open file is measured, by the name
// of the request. To create a file is to open it; a flush is what close(2) waits for.
var ioOperations = map[string]string{
	"read":     "read",
	"write":    "write",
	"fsync":    "fsync",
	"fsyncdir": "fsync",
	"open":     "open",
	"create":   "open",
	"tmpfile":  "open",
	"close":    "close",
	"flush":    "close",
}

// otherOperations are the names of the kernel's other requests, and one for all that are
// not here.
var otherOperations = []string{
	"access", "copy_file_range", "fallocate", "forget", "getattr", "getlk", "getxattr", "ioctl", "link", "listxattr", "lookup", "lseek",
	"mkdir", "mknod", "opendir", "readdir", "readdirplus", "readlink", "release", "releasedir", "removexattr", "rename", "rmdir",
	"setattr", "setlk", "setxattr", "statfs", "statx", "symlink", "unlink", other,
}

// operation is the series of one kind of request.
type operation interface {
	observe(took time.Duration, bytes int, failed bool)
}

// ioOperation is measured with a histogram.
type ioOperation struct {
	duration prometheus.Observer
	bytes    prometheus.Counter // nil where no bytes are moved
	errors   prometheus.Counter
}

func (o *ioOperation) observe(took time.Duration, bytes int, failed bool) {
	o.duration.Observe(took.Seconds())
	if o.bytes != nil {
		o.bytes.Add(float64(bytes))
	}
	if failed {
		o.errors.Inc()
	}
}

// metaOperation has a mean only: a histogram of each of these would be some 500 series
// per volume.
type metaOperation struct {
	count, seconds, errors prometheus.Counter
}

func (o *metaOperation) observe(took time.Duration, _ int, failed bool) {
	o.count.Inc()
	o.seconds.Add(took.Seconds())
	if failed {
		o.errors.Inc()
	}
}

func (t *table) operations(volume string) map[string]operation {
	all := make(map[string]operation, len(ioOperations)+len(otherOperations))
	for name, op := range ioOperations {
		o := &ioOperation{
			duration: t.ioDuration.WithLabelValues(op, volume),
			errors:   t.ioErrors.WithLabelValues(op, volume),
		}
		if op == "read" || op == "write" {
			o.bytes = t.ioBytes.WithLabelValues(op, volume)
		}
		all[name] = o
	}
	for _, op := range otherOperations {
		all[op] = &metaOperation{
			count:   t.fuseOperations.WithLabelValues(op, volume),
			seconds: t.fuseSeconds.WithLabelValues(op, volume),
			errors:  t.fuseErrors.WithLabelValues(op, volume),
		}
	}
	return all
}

// Operation reports one answered request of the kernel: its name in lower case as FUSE
// has it ("readdirplus"), how long it took, the bytes read or written and whether it
// was answered with an error.
func (v *Volume) Operation(op string, took time.Duration, bytes int, failed bool) {
	o, ok := v.operations[op]
	if !ok {
		o = v.operations[other]
	}
	o.observe(took, bytes, failed)
}
