package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
)

// envAlone tells a test that it is the child of alone. Its value names the cgroup of the
// containers.
const envAlone = "OBJVOL_TEST_ALONE"

// aloneLimit bounds a child, which has deadlines of its own for all that it waits for.
const aloneLimit = 5 * time.Minute * mounttest.Slower

// alone runs the calling test again, in a child with a Docker engine that nobody else uses.
// It is true in the child; where it is false the test has been run, and returns.
//
// An engine looks for drivers in /run/docker/plugins and nowhere else, and each that it has
// used and that has gone since costs 15 seconds of every question for an unknown volume. So
// the child has a /run of its own. Its namespaces end with it, and with them all that it
// started and mounted.
func alone(t *testing.T) bool {
	t.Helper()
	if group, child := os.LookupEnv(envAlone); child {
		startDocker(t, group)
		return true
	}
	requireDocker(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	group := fmt.Sprintf("objvol-test-%d-%s", os.Getpid(), t.Name())
	t.Cleanup(func() { removeGroup(t, group) })
	ctx, cancel := context.WithTimeout(t.Context(), aloneLimit)
	defer cancel()
	// The shell stays: somebody must wait for the orphans of the namespace.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", `
		mount -t tmpfs tmpfs /run
		busybox ip link set lo up
		"$@"
		exit`, "sh", binary, "-test.v", "-test.run=^"+t.Name()+"$")
	// Under the race detector a process sleeps a second before it ends, unless told not to.
	cmd.Env = append(os.Environ(), envAlone+"="+group, "TMPDIR="+t.TempDir(), "DOCKER_HOST=unix:///run/docker.sock", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case testing.Verbose():
		t.Logf("%s", out)
	}
	return false
}

// requireDocker skips the test where no engine can be started. Where OBJVOL_REQUIRE has
// "docker", it fails instead.
func requireDocker(t *testing.T) {
	t.Helper()
	mounttest.Require(t)
	for _, program := range []string{"dockerd", "docker"} {
		if _, err := exec.LookPath(program); err != nil {
			lack(t, "docker", err.Error()+"; get it with: apt-get install -y docker.io")
		}
	}
}

// startDocker starts the engine of the child. It needs neither iptables nor a filesystem
// that overlayfs likes, and leaves the cgroups of other engines alone.
func startDocker(t *testing.T, group string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "daemon.json") // in place of the host's
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &output{}
	cmd := exec.Command("dockerd", "--config-file", config, "--data-root", filepath.Join(dir, "docker"),
		"--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+group, "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // only its log is of interest
		if t.Failed() {
			t.Logf("dockerd: %s", log)
		}
	})
	eventually(t, "the engine answers", func() bool { return hasEngine(t.Context()) })
}

// removeGroup removes a cgroup that has no processes any more from all hierarchies.
func removeGroup(t *testing.T, group string) {
	t.Helper()
	_, err := command(context.WithoutCancel(t.Context()), "find", "/sys/fs/cgroup", "-depth", "-type", "d",
		"(", "-name", group, "-o", "-path", "*/"+group+"/*", ")", "-delete")
	if err != nil {
		t.Error(err)
	}
}
