package fusefs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The kernel interrupts a request at any signal to the thread that waits for it, also at
// those that the program handles, or that a Go program's scheduler sends to itself. No
// program expects stat(2), open(2) or fsync(2) of a file to end with EINTR: a local
// filesystem's never do, and databases give up. Reading is another matter: there EINTR is
// expected, and Ctrl-C should end a read that waits for a store.

// patient does an operation that only a signal which ends the thread interrupts. One that
// ended with EINTR has changed nothing, and is done again.
func patient(cancel <-chan struct{}, thread uint32, op func(cancel <-chan struct{}) fuse.Status) fuse.Status {
	status := op(cancel)
	if status != fuse.EINTR || !closed(cancel) || isKilled(thread) {
		return status
	}
	ended := make(chan struct{})
	defer close(ended)
	return op(killed(thread, ended))
}

func closed(cancel <-chan struct{}) bool {
	select {
	case <-cancel:
		return true
	default:
		return false
	}
}

// killedLook is how often a thread is looked at. The kernel tells of a request's first
// signal only.
const killedLook = 50 * time.Millisecond

// killed returns a channel that is closed when the thread is to end, unless ended is
// closed before.
func killed(thread uint32, ended <-chan struct{}) <-chan struct{} {
	dead := make(chan struct{})
	go func() {
		tick := time.NewTicker(killedLook)
		defer tick.Stop()
		for !isKilled(thread) {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
		close(dead)
	}()
	return dead
}

// isKilled reports whether a thread is to end: whatever signal ends a process, the kernel
// makes SIGKILL pending in each of its threads. One that cannot be seen from here (0) may
// be.
func isKilled(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		pending, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil || pending&(1<<(syscall.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}
