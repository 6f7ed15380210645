package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// demoRun is a demo in a process of its own, with its output line by line.
type demoRun struct {
	*program
	dir   string
	lines []string
}

// startDemo starts a demo. Its directory must be gone when the test ends.
func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	mounttest.Require(t)
	// What would lead the demo to another store.
	elsewhere := objstoretest.Server{Endpoint: "http://127.0.0.1:1", AccessKey: "other", SecretKey: "other"}
	d := &demoRun{program: start(t, elsewhere, append([]string{"demo"}, args...)...)}
	d.until(t, "$ cd ")
	d.dir = strings.TrimPrefix(d.lines[0], "$ cd ")
	t.Cleanup(func() {
		if _, err := os.Stat(d.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the demo's directory is left: %v", err)
		}
	})
	return d
}

// until reads up to a line that begins with the text.
func (d *demoRun) until(t *testing.T, begin string) {
	t.Helper()
	for {
		line := d.line(t)
		if line == "" {
			t.Fatalf("the demo says no %q:\n%s", begin, strings.Join(d.lines, "\n"))
		}
		d.lines = append(d.lines, strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, begin) {
			return
		}
	}
}

// finish reads to the end, which must be a good one, and looks for lines.
func (d *demoRun) finish(t *testing.T, want ...string) {
	t.Helper()
	d.until(t, "demo finished")
	if code := d.code(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := strings.Join(d.lines, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the demo does not say %q:\n%s", w, text)
		}
	}
}

// shown is what both ways of the demo show.
var shown = []string{
	"\n$ curl -K curl.conf --unix-socket state/s3/s3.sock --aws-sigv4 ",
	"/dir/hello\n<Size>23\n",
	"/dir/hello\nthis file is an object\n",
	`objvol_io_duration_seconds_count{op="write",volume="demo-`,
	`objvol_io_duration_seconds_count{op="read",volume="demo-`,
	"\n$ rm -r /var/tmp/objvol-demo-",
}

func TestDemoWithAnEngine(t *testing.T) {
	requireEngine(t)
	d := startDemo(t)
	d.finish(t, append(shown, "\n$ docker volume create -d objvol-demo demo-", "\n$ docker run --rm ", "\n$ docker volume rm ")...)
	if left, err := command(t.Context(), "docker", "image", "ls", "-q", demoDriver); err != nil || left != "" {
		t.Errorf("images left: %q, %v", left, err)
	}
}

func TestDemoWithoutAnEngine(t *testing.T) {
	t.Setenv("PATH", pathWithout(t, "docker"))
	d := startDemo(t)
	d.finish(t, append(shown, "apt-get install -y docker.io", `"holders":{"reader":1}`, "http://plugin/VolumeDriver.Unmount\n{\"Err\":\"\"}\n")...)
}

// Ctrl-C ends a demo that stays, and one that is under way: both clean up.
func TestDemoInterrupted(t *testing.T) {
	t.Setenv("PATH", pathWithout(t, "docker"))
	kept := startDemo(t, "--keep")
	kept.until(t, "# All of it stays until Ctrl-C")
	if err := kept.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	kept.finish(t, shown...)

	d := startDemo(t)
	d.until(t, "$ objvol serve ")
	if code := d.end(t, syscall.SIGINT); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(d.stderr.String(), "objvol: interrupted") {
		t.Errorf("the demo says %q", d.stderr)
	}
}

func TestDemoWithoutRoot(t *testing.T) {
	mounttest.Require(t)
	// Everybody can execute this.
	binary := filepath.Join(t.TempDir(), "objvol")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range [][]string{{"cp", self, binary}, {"chmod", "755", binary, filepath.Dir(binary), filepath.Dir(filepath.Dir(binary))}} {
		if _, err := command(t.Context(), step[0], step[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(within(t, deadline), binary, "demo")
	cmd.Dir, cmd.Env = "/", []string{envProgram + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "run it as root") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoIgnoresSettings(t *testing.T) {
	given := []string{"PATH=/bin", "OBJVOL_ENDPOINT=http://x", "OBJVOL_SECRET_KEY=s", "AWS_ENDPOINT_URL=http://y", "AWS_REGION=z", "HOME=/root"}
	if got := demoEnvironment(given); !slices.Equal(got, []string{"PATH=/bin", "HOME=/root"}) {
		t.Errorf("left: %q", got)
	}
}

func TestStatic(t *testing.T) {
	if err := static("/bin/sh"); err == nil || !strings.Contains(err.Error(), "busybox-static") {
		t.Errorf("a program with libraries: %v", err)
	}
	if err := static("/etc/passwd"); err == nil {
		t.Error("a text is a program")
	}
}

func TestWriteImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := writeImage(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if !slices.Equal(names, []string{"bin/busybox", "bin/sh"}) {
		t.Errorf("the image has %q", names)
	}
}

// pathWithout is a PATH on which all programs are found but one.
func pathWithout(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		found, err := os.ReadDir(from)
		if err != nil {
			continue // it may not exist
		}
		for _, f := range found {
			if err := os.Symlink(filepath.Join(from, f.Name()), filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, os.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	if err := os.Remove(filepath.Join(dir, program)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return dir
}
