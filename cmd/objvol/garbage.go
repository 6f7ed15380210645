package main

// garbageLeft is how many bytes of garbage may lie in memory, before it is collected, beside
// what Go leaves anyway, which is as much as is in use. That is a few megabytes, and most of
// what a request needs is garbage when it is answered: an archive of 2,000 files was 19
// collections, and with this it is 5.
const garbageLeft = 24 << 20

// garbage counts as in use, so that the collector waits for as much more. Nobody touches it:
// it takes no memory itself. A percentage would leave the more the more is in use, and what a
// process may take is bounded.
var garbage []byte

// leaveGarbage lets garbageLeft more lie from now on.
func leaveGarbage() { garbage = make([]byte, garbageLeft) }
