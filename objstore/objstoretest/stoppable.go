package objstoretest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Stoppable is a server of the test's own that can be ended and started again, on the same
// data and the same address.
type Stoppable struct {
	Server

	tb      testing.TB
	program string
	dir     string
	address string
	process *process
}

// StoppableMinIO starts such a server.
func StoppableMinIO(tb testing.TB) *Stoppable {
	tb.Helper()
	program, err := minioProgram()
	must(tb, err)
	// No client has a connection from there, which could take the port meanwhile.
	address, err := freeAddress("127.0.0.2")
	must(tb, err)
	s := &Stoppable{tb: tb, program: program, dir: tb.TempDir(), address: address}
	s.Start()
	tb.Cleanup(s.Kill)
	return s
}

// Start starts the server, which does not run, and waits until it takes requests.
func (s *Stoppable) Start() {
	s.tb.Helper()
	p, err := startMinIOAt(s.program, s.dir, s.address)
	must(s.tb, err)
	s.process, s.Server = p, p.server
}

// Kill ends the server, frozen or not. Its connections end with it.
func (s *Stoppable) Kill() { s.process.end() }

// Freeze lets the kernel take connections and requests for the server, and nobody answer
// them.
func (s *Stoppable) Freeze() {
	s.tb.Helper()
	must(s.tb, s.process.cmd.Process.Signal(syscall.SIGSTOP))
	for end := time.Now().Add(startLimit); !s.frozen(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatal("the server does not stop")
		}
	}
}

// frozen reports whether the last of the server's threads has come to a stop.
func (s *Stoppable) frozen() bool {
	s.tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.process.cmd.Process.Pid))
	must(s.tb, err)
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		must(s.tb, err)
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Asked reports whether a request has come that the server, which is frozen, has not read.
// The format of the table is proc_net_tcp of the kernel.
func (s *Stoppable) Asked() bool {
	s.tb.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	must(s.tb, err)
	at := netip.MustParseAddrPort(s.address)
	ip := at.Addr().As4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], at.Port())
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		const established = "01"
		if len(fields) > 4 && fields[1] == local && fields[3] == established && !strings.HasSuffix(fields[4], ":00000000") {
			return true
		}
	}
	return false
}
