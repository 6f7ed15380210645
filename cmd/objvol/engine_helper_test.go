package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// engine is this machine's Docker engine with a driver, an image and volumes of the
// test's own. All of it is removed when the test ends.
type engine struct {
	t       *testing.T
	name    string // of the driver, and the label of containers
	image   string
	state   string // the driver's state directory
	metrics string // host:port
	server  objstoretest.Server
	driver  *program
	volumes []string
	removed bool
}

// newEngine starts a driver whose volumes lie on the server; the zero Server is the
// embedded store.
func newEngine(t *testing.T, s objstoretest.Server, name string) *engine {
	t.Helper()
	requireEngine(t)
	name = fmt.Sprintf("objvol-test-%s-%d", name, os.Getpid())
	e := &engine{t: t, name: name, image: name + ":1", state: filepath.Join(t.TempDir(), "state"), server: s}
	t.Cleanup(e.remove)
	e.importImage(e.image)
	e.startDriver()
	return e
}

// requireEngine skips the test where no engine answers. Where OBJVOL_REQUIRE has "docker",
// it fails instead.
func requireEngine(t *testing.T) {
	t.Helper()
	mounttest.Require(t)
	if hasEngine(t.Context()) {
		return
	}
	lack(t, "docker", "no Docker engine answers; get one with: apt-get install -y docker.io")
}

// lack skips the test. Where OBJVOL_REQUIRE, a list with commas, has what is missing, it
// fails instead.
func lack(t *testing.T, what, message string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), what) {
		t.Fatal(message)
	}
	t.Skip(message)
}

// startDriver starts a driver and waits until it answers.
func (e *engine) startDriver() {
	e.t.Helper()
	var err error
	if e.metrics, err = freeAddress(); err != nil {
		e.t.Fatal(err)
	}
	e.driver = start(e.t, e.server, "serve", "--socket", "/run/docker/plugins/"+e.name+".sock",
		"--state-dir", e.state, "--metrics-addr", e.metrics)
	e.t.Cleanup(e.remove) // comes before the driver is killed
	eventually(e.t, "the driver answers", func() bool {
		return answers(e.t.Context(), "http://"+e.metrics+"/healthz")
	})
}

// stopDriver ends the driver, which must have brought everything to the bucket.
func (e *engine) stopDriver() {
	e.t.Helper()
	if code := e.driver.end(e.t, syscall.SIGTERM); code != exitOK {
		e.t.Errorf("the driver ended with exit code %d", code)
	}
	if mounts := e.mounts(); len(mounts) != 0 {
		e.t.Errorf("mounts after the driver: %v", mounts)
	}
}

// remove removes everything, once. After a test that failed it does what it can.
func (e *engine) remove() {
	if e.removed {
		return
	}
	e.removed = true
	for id := range strings.FieldsSeq(e.try("ps", "-aq", "--filter", "label="+e.name)) {
		e.try("rm", "-f", "-v", id)
	}
	for _, volume := range e.volumes {
		e.try("volume", "rm", "-f", volume)
	}
	if e.driver != nil {
		e.stopDriver()
	}
	for image := range strings.FieldsSeq(e.try("image", "ls", "-q", e.name)) {
		e.try("image", "rm", "-f", image)
	}
	if err := errors.Join(detachBelow(e.state), os.RemoveAll("/run/docker/plugins/"+e.name+".sock")); err != nil {
		e.t.Error(err)
	}
}

// try runs docker for the cleanup.
func (e *engine) try(args ...string) string {
	out, err := dockerCommand(context.WithoutCancel(e.t.Context()), args)
	if err != nil {
		e.t.Error(err)
	}
	return out
}

// docker runs a command that must succeed and returns what it printed.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	out, err := dockerCommand(e.t.Context(), args)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// refused runs a command that must not succeed and returns its error.
func (e *engine) refused(args ...string) string {
	e.t.Helper()
	out, err := dockerCommand(e.t.Context(), args)
	if err == nil {
		e.t.Fatalf("docker %s: succeeds: %s", strings.Join(args, " "), out)
	}
	return err.Error()
}

func dockerCommand(ctx context.Context, args []string) (string, error) {
	return command(ctx, "docker", args...)
}

// command runs a program of the host, with a deadline: it may touch a mount.
func command(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	text := strings.TrimRight(string(out), "\n")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, exit.Stderr, text)
	}
	return text, err
}

// create creates a volume with options key=value.
func (e *engine) create(name string, options ...string) (volume string) {
	e.t.Helper()
	volume = e.name + "-" + name
	args := []string{"volume", "create", "-d", e.name}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	if out := e.docker(append(args, volume)...); out != volume {
		e.t.Fatalf("volume create says %q", out)
	}
	if !slices.Contains(e.volumes, volume) {
		e.volumes = append(e.volumes, volume)
	}
	return volume
}

// arguments are those of a "docker run" with the volume on /data.
func (e *engine) arguments(volume string, more ...string) []string {
	return append([]string{"run", "--label", e.name, "--network", "none", "-v", volume + ":/data"}, more...)
}

// run runs a shell script in a container of its own and returns what it printed.
func (e *engine) run(volume, script string) string {
	e.t.Helper()
	return e.docker(e.arguments(volume, "--rm", e.image, "sh", "-euc", script)...)
}

// background starts a container that stays until it is stopped.
func (e *engine) background(volume string) (container string) {
	e.t.Helper()
	return e.docker(e.arguments(volume, "-d", e.image, "busybox", "sleep", "3600")...)
}

// exec runs a shell script in a container that runs.
func (e *engine) exec(container, script string) string {
	e.t.Helper()
	return e.docker("exec", container, "sh", "-euc", script)
}

// stop stops a container, which then is removed.
func (e *engine) stop(container string) {
	e.t.Helper()
	e.docker("stop", "-t", "0", container)
	e.docker("rm", container)
}

// status is what "docker volume inspect" tells of a volume.
type status struct {
	State        string
	Holders      map[string]int
	PendingFiles int
	LastError    string
}

func (e *engine) status(volume string) status {
	e.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(e.docker("volume", "inspect", "--format", "{{json .Status}}", volume)), &s); err != nil {
		e.t.Fatal(err)
	}
	return s
}

// wantHolders fails the test unless that many containers hold the volume, each once.
func (e *engine) wantHolders(volume string, want int) {
	e.t.Helper()
	s := e.status(volume)
	if len(s.Holders) != want {
		e.t.Errorf("holders %v, want %d", s.Holders, want)
	}
	for id, count := range s.Holders {
		if count != 1 {
			e.t.Errorf("holder %s counts %d", id, count)
		}
	}
	if s.LastError != "" {
		e.t.Errorf("the volume's last error: %s", s.LastError)
	}
}

// mounts are the driver's mounts that the host shows.
func (e *engine) mounts() (dirs []string) {
	e.t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); f[2] == "fuse.objvol" && strings.HasPrefix(f[1], e.state+"/") {
			dirs = append(dirs, f[1])
		}
	}
	return dirs
}

// wantMounts fails the test unless the host shows that many mounts.
func (e *engine) wantMounts(want int) []string {
	e.t.Helper()
	dirs := e.mounts()
	if len(dirs) != want {
		e.t.Fatalf("mounts %v, want %d", dirs, want)
	}
	return dirs
}

// metric is the value of a series, as Prometheus would get it.
func (e *engine) metric(series string) float64 {
	e.t.Helper()
	for line := range strings.Lines(fetch(e.t, http.DefaultClient, http.MethodGet, "http://"+e.metrics+"/metrics", "")) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				e.t.Fatal(err)
			}
			return value
		}
	}
	e.t.Fatalf("no series %s", series)
	return 0
}

// entry is a part of an image.
type entry struct {
	tar.Header
	content string
}

// importImage makes an image of busybox and more.
func (e *engine) importImage(image string, more ...entry) {
	e.t.Helper()
	path := filepath.Join(e.t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		e.t.Fatal(err)
	}
	w := tar.NewWriter(f)
	err = addBusybox(w)
	for _, m := range more {
		m.Size = int64(len(m.content))
		err = errors.Join(err, w.WriteHeader(&m.Header))
		_, writeErr := w.Write([]byte(m.content))
		err = errors.Join(err, writeErr)
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		e.t.Fatal(err)
	}
	e.docker("import", path, image)
}

// sortLines makes listings comparable whose order means nothing.
func sortLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
