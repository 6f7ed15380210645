package mounttest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Case is what a child does in the directory; its error fails the test.
type Case func(dir string) error

// Cases are the cases of a test binary by name.
type Cases map[string]Case

// The environment of a child.
const (
	envCase = "OBJVOL_MOUNTTEST_CASE"
	envDir  = "OBJVOL_MOUNTTEST_DIR"
	envUser = "OBJVOL_MOUNTTEST_USER"
)

// deadline is how long a child may take before it counts as hanging.
const deadline = 2 * time.Minute * Slower

// Main is what TestMain calls: it runs the tests or, in a child, the case that the child
// is for. It does not return.
func Main(m *testing.M, cases Cases) {
	name, child := os.LookupEnv(envCase)
	if !child {
		os.Exit(m.Run())
	}
	run, ok := cases[name]
	if !ok {
		fail(fmt.Errorf("no case %q", name))
	}
	if user := os.Getenv(envUser); user != "" {
		if err := become(user); err != nil {
			fail(err)
		}
	}
	if err := run(os.Getenv(envDir)); err != nil {
		fail(fmt.Errorf("%s: %w", name, err))
	}
	os.Exit(0)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// become drops root for a user without a name or groups. The binary lies where only root
// reaches it, so that this cannot be done before it is executed.
func become(user string) error {
	id, err := strconv.Atoi(user)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setresgid(id, id, id); err != nil {
		return err
	}
	return syscall.Setresuid(id, id, id)
}

// Run runs a case in a child, as root, and waits for it.
func Run(t *testing.T, dir, name string) {
	t.Helper()
	Start(t, dir, name, 0)()
}

// RunAs is Run as the user and group id.
func RunAs(t *testing.T, dir, name string, id int) {
	t.Helper()
	Start(t, dir, name, id)()
}

// Start starts a case in a child and returns what waits for it and fails the test with
// what the child said. The wait is called once, from the goroutine of the test.
func Start(t *testing.T, dir, name string, id int) (wait func()) {
	t.Helper()
	env := []string{envCase + "=" + name}
	if id != 0 {
		env = append(env, envUser+"="+strconv.Itoa(id))
	}
	return orFail(t, start(t, dir, env))
}

// Try is Run for a case whose failure is not the test's: it returns what the child said.
func Try(t *testing.T, dir, name string) error {
	t.Helper()
	return start(t, dir, []string{envCase + "=" + name})()
}

// Command returns the command that runs a case, for a case that is about several
// processes.
func Command(dir, name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envCase+"="+name, envDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// RunTest runs a whole test of this binary in a child and waits for it. There, Served
// tells the test that it is the child, which is how suites that want a [testing.T] are run.
func RunTest(t *testing.T, dir, name string) {
	t.Helper()
	orFail(t, start(t, dir, nil, "-test.v", "-test.run=^"+name+"$"))()
}

// Served returns the directory that a child of RunTest is to test. Elsewhere ok is false.
func Served() (dir string, ok bool) {
	return os.LookupEnv(envDir)
}

// orFail makes a wait that fails the test of one that returns an error.
func orFail(t *testing.T, wait func() error) func() {
	t.Helper()
	return func() {
		t.Helper()
		if err := wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// start executes the binary again, for a mount on dir, and returns what waits for its end.
func start(t *testing.T, dir string, env []string, args ...string) (wait func() error) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dev := device(t, dir)
	var output bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Dir = "/"
	// Under the race detector a process sleeps a second before it ends, unless told not to.
	cmd.Env = append(append(os.Environ(), env...), envDir+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// What the child started keeps its output open: after it has ended, it is not waited for.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()

	return func() error {
		select {
		case err := <-exited:
			if err != nil {
				return fmt.Errorf("in %s: %w\n%s", dir, err, output.Bytes())
			}
			return nil
		case <-time.After(deadline):
			// A runtime that still runs prints its stacks; one that waits in the kernel
			// can only end after its connection has.
			_ = cmd.Process.Signal(syscall.SIGQUIT)
			if err := abort(dev); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			_ = cmd.Process.Kill()
			err := <-exited
			return fmt.Errorf("in %s: hung, then %w\n%s", dir, err, output.Bytes())
		}
	}
}
