package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"objvol/driver"
)

// firstInherited is the descriptor with which systemd begins to pass sockets.
const firstInherited = 3

// inherited is the socket that systemd listens on in our place, or nil if this process was
// not started for one.
func inherited(getenv func(string) string) (net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil // nobody's, or meant for the process that started this one
	}
	if count := getenv("LISTEN_FDS"); count != "1" {
		return nil, fmt.Errorf("systemd passes %q sockets, must be 1: look at ListenStream= in objvol.socket", count)
	}
	return driver.Inherit(firstInherited)
}
