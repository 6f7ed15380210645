// Package metrics is what Prometheus sees of objvol. It is the only room that names a
// metric: the others declare an observer of a few methods, and the types here satisfy
// them by shape, so that no room below knows of Prometheus and none here knows of them.
//
//	driver   Call(method, volume, took, err)            (*Metrics).Call
//	fusefs   Operation(op, took, bytes, failed)         (*Volume).Operation
//	objstore Request(op, outcome, took, sent, received) (*Volume).Request
//	         Retry(op)                                  (*Volume).Retry
//
// Events are pushed through these methods. States (what is mounted, dirty, queued,
// cached) are not counted along: a collector asks each volume's source for its [State]
// when Prometheus scrapes. Every metric is defined in table.go.
//
// # Series
//
// All label values come from fixed sets, the names of volumes excepted; keys and paths
// are never labels. Series are created at zero as soon as they can happen, because a
// rate needs the zero before its first event. A volume has its calls and its place among
// the states from [Metrics.Add] or its successful create, and everything else from
// [Metrics.Volume], which the first mount calls: the volumes that are known to a host
// and never used there stay cheap. [Metrics.Forget] ends all of them.
//
// Calls about names that are no volume are counted without a volume: the names come from
// outside, and each would be a new series.
package metrics
