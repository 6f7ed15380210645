// Package floor is the least that a FUSE filesystem in Go can be: what go-fuse brings, over
// a directory of this host, or over nothing at all. Nothing that is mounted through it can
// be faster than it is, so that it tells what of a time is FUSE's own.
//
//	loopback.go   a directory, files passed to the kernel where that can do it
//	memory.go     one large file whose bytes are in memory
//	serve.go      a mount until its end
//
// It is of the bench and no part of the product: nothing but cmd/bench imports it, and it
// knows nothing of ours. It is a package of its own because go-fuse is known in few rooms.
package floor
