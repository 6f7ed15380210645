package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestInherited(t *testing.T) {
	for _, c := range []struct{ pid, fds, says string }{
		{"", "", ""},
		{strconv.Itoa(os.Getpid() + 1), "1", ""}, // for the process that started this one
		{strconv.Itoa(os.Getpid()), "2", `passes "2" sockets`},
		{strconv.Itoa(os.Getpid()), "", `passes "" sockets`},
	} {
		env := map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds}
		l, err := inherited(func(name string) string { return env[name] })
		if l != nil || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, %v", c, l, err)
		}
	}
}
