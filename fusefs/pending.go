package fusefs

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// pending are the requests that are being answered, by their unique numbers. It is for
// the end of a connection: what the kernel reads ahead is never interrupted by it, and
// would be waited for although nobody is left to take the answer.
type pending struct {
	mu   sync.Mutex // protects what follows
	set  map[uint64]struct{}
	over bool // the connection has ended
}

// add reports whether the connection was over before: then the request was read at the
// last moment, and has to be interrupted as well.
func (p *pending) add(unique uint64) (over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set == nil {
		p.set = make(map[uint64]struct{})
	}
	p.set[unique] = struct{}{}
	return p.over
}

func (p *pending) remove(unique uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.set, unique)
}

// interrupt interrupts all of them, once each, in the kernel's name, when the connection
// is over. It returns when that is done or they have ended.
func (p *pending) interrupt(server *fuse.ProtocolServer) {
	for !p.tryInterrupt(server) {
		// One is on its way between us and the server, which does not know it yet.
		time.Sleep(time.Millisecond)
	}
}

func (p *pending) tryInterrupt(server *fuse.ProtocolServer) (all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	out := make([]byte, sizes[0])
	for unique := range p.set {
		// Interrupting has an answer only if it failed.
		if n, status := server.HandleRequest([][]byte{interruptRequest(unique)}, [][]byte{out}); n == 0 && status.Ok() {
			delete(p.set, unique)
		}
	}
	return len(p.set) == 0
}

// interruptRequest is fuse_in_header and the unique number of the request that it is
// about. It has none itself.
func interruptRequest(unique uint64) []byte {
	const (
		opcodeInterrupt = 36
		headerSize      = 40
	)
	m := make([]byte, 0, headerSize+8)
	m = binary.NativeEndian.AppendUint32(m, headerSize+8)
	m = binary.NativeEndian.AppendUint32(m, opcodeInterrupt)
	m = m[:headerSize]
	return binary.NativeEndian.AppendUint64(m, unique)
}
