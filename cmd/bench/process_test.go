package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startOrFail starts a shell script; what it says is in the buffer when it has ended.
func startOrFail(t *testing.T, script string) (*process, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout = &said
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p, &said
}

// TestGroupEndsWithItsFirst: what a program leaves running ends with it, without a call.
func TestGroupEndsWithItsFirst(t *testing.T) {
	t.Parallel()
	p, said := startOrFail(t, "sleep 1000 >/dev/null & echo $!; exit 3")
	<-p.ended
	if exit := (*exec.ExitError)(nil); !errors.As(p.err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v", p.err)
	}
	wantNoSleeper(t, said.String())
}

// wantNoSleeper fails unless a sleep(1) that was killed, and that somebody else waits for, is gone
// soon.
func wantNoSleeper(t *testing.T, pid string) {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		name, err := os.ReadFile(proc(number, "comm"))
		if err != nil || strings.TrimSpace(string(name)) != "sleep" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("process %d is left", number)
}

// TestNumberOfAnother: once a process was waited for, its number is another's, which nobody
// ends.
func TestNumberOfAnother(t *testing.T) {
	t.Parallel()
	other, _ := startOrFail(t, "exec sleep 1000")
	ended := &process{cmd: other.cmd, ended: make(chan struct{}), reaped: true}
	close(ended.ended)
	ended.kill()
	if other.within(50 * time.Millisecond) {
		t.Error("another was ended")
	}
	other.kill()
	if !other.reaped {
		t.Error("it was not waited for")
	}
}
