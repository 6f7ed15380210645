package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stepTimeout bounds one step of the demo. Each takes a second or two.
const stepTimeout = time.Minute

// errInterrupted is a signal between two steps.
var errInterrupted = errors.New("interrupted")

// stage is where the demo happens: a directory with all that it makes, its driver, and
// what is to be done at the end. One goroutine uses it.
type stage struct {
	out     io.Writer
	id      string // tells this demo's volume and image from others
	dir     string // all relative paths of commands are in it
	metrics string // host:port
	driver  *demoProcess
	ends    []string
	failed  error // of what was done at the end, or said
}

// newStage makes the directory. It is not in /tmp, which may be a memory file system that
// lacks the extended attributes that the embedded store needs.
func newStage(out io.Writer) (*stage, error) {
	dir, err := os.MkdirTemp("/var/tmp", "objvol-demo-")
	if err != nil {
		return nil, err
	}
	id := make([]byte, 3)
	_, _ = rand.Read(id) // it never fails
	s := &stage{out: out, id: hex.EncodeToString(id), dir: dir}
	s.say("$ cd " + dir)
	return s, nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// say prints a line. A reader who is gone is no reason to stop before the end.
func (s *stage) say(line string) {
	if _, err := fmt.Fprintln(s.out, line); err != nil && s.failed == nil {
		s.failed = err
	}
}

// title says what the following steps are about.
func (s *stage) title(text string) { s.say("\n# " + text) }

// run prints and runs commands one after the other. A signal does not cut a command off:
// it ends the demo before the next one, so that what is to be cleaned up is known.
func (s *stage) run(ctx context.Context, commands ...string) error {
	for _, command := range commands {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := s.step(command); err != nil {
			return err
		}
	}
	return nil
}

// step prints a command and runs it.
func (s *stage) step(command string) error {
	s.say("$ " + command)
	output, err := s.shell(command)
	if text := strings.TrimRight(output, "\n"); text != "" {
		s.say(text)
	}
	return err
}

// shell runs a command in the demo's directory and returns what it printed.
func (s *stage) shell(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is for the demo alone
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("no end after %v", stepTimeout)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", command, err)
	}
	return string(output), err
}

// atEnd has a command run before the driver is stopped, the last one first.
func (s *stage) atEnd(command string) { s.ends = append(s.ends, command) }

// close undoes everything. What it cannot is in s.failed; after an error of the demo
// itself the driver's log says more.
func (s *stage) close(cause error) {
	if cause != nil && !errors.Is(cause, errInterrupted) {
		s.title("It failed. The end of the driver's log:")
		s.say(s.logTail())
	}
	s.title("Clean up")
	for _, command := range slices.Backward(s.ends) {
		s.failed = errors.Join(s.failed, s.step(command))
	}
	if s.driver != nil {
		s.say(fmt.Sprintf("$ kill %d", s.driver.pid))
		s.failed = errors.Join(s.failed, s.driver.stop())
	}
	s.say("$ rm -r " + s.dir)
	s.failed = errors.Join(s.failed, detachBelow(s.dir), os.RemoveAll(s.dir))
}

// logTail is the end of the driver's log.
func (s *stage) logTail() string {
	const lines = 10
	data, err := os.ReadFile(s.path("serve.log"))
	if err != nil {
		return "(there is none)"
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// curlConfig is what curl is told beside its command line, where everybody would see the
// keys. The header is one that some versions of curl leave out and the store wants.
const curlConfig = `silent
show-error
fail-with-body
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
user = "%s:%s"
`

// writeCurlConfig lets curl use the embedded store.
func (s *stage) writeCurlConfig() error {
	data, err := os.ReadFile(s.path("state/s3/credentials.json"))
	if err != nil {
		return err
	}
	var keys struct{ AccessKey, SecretKey string }
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	return os.WriteFile(s.path("curl.conf"), fmt.Appendf(nil, curlConfig, keys.AccessKey, keys.SecretKey), 0o600)
}

// detachBelow detaches what a driver that was killed left mounted below dir.
func detachBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			errs = append(errs, os.NewSyscallError("umount2", unix.Unmount(fields[4], unix.MNT_DETACH)))
		}
	}
	return errors.Join(errs...)
}
