package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// served is a driver in a process of its own.
type served struct {
	*program
	t      *testing.T
	state  string
	socket string
}

// startServe runs a driver and waits until it answers.
func startServe(t *testing.T, s objstoretest.Server, state string, flags ...string) served {
	t.Helper()
	mounttest.Require(t)
	d := served{t: t, state: state, socket: filepath.Join(state, "..", "objvol.sock")}
	d.program = start(t, s, append([]string{
		"serve", "--state-dir", state, "--socket", d.socket,
		"--metrics-addr", "off", "--log-level", "debug",
	}, flags...)...)
	eventually(t, "the driver answers", func() bool { return strings.Contains(d.stderr.String(), "msg=serving") })
	return d
}

// call makes a call of the plugin protocol and returns the answer.
func (d served) call(method, body string) string {
	d.t.Helper()
	return strings.TrimSpace(fetch(d.t, overSocket(d.socket), http.MethodPost, "http://plugin/"+method, body))
}

// must is call for one that succeeds.
func (d served) must(method, body string) string {
	d.t.Helper()
	answer := d.call(method, body)
	if !strings.Contains(answer, `"Err":""`) {
		d.t.Fatalf("%s %s: %s", method, body, answer)
	}
	return answer
}

// command runs a command against the driver and returns its output and exit code.
func (d served) command(args ...string) (string, int) {
	d.t.Helper()
	p := start(d.t, objstoretest.Server{}, append(args, "--state-dir", d.state)...)
	var out strings.Builder
	for {
		line := p.line(d.t)
		if line == "" {
			break
		}
		out.WriteString(line)
	}
	code := p.code(d.t)
	return out.String() + p.stderr.String(), code
}

// leaveNothing detaches what a killed driver left mounted.
func leaveNothing(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		for syscall.Unmount(dir, syscall.MNT_DETACH) == nil {
			t.Logf("detached %s", dir)
		}
	})
}

func TestServe(t *testing.T) {
	s := objstoretest.MinIO(t)
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	d := startServe(t, s, state)
	d.must("Plugin.Activate", "")
	if answer := d.must("VolumeDriver.Capabilities", "{}"); !strings.Contains(answer, `"Scope":"global"`) {
		t.Error(answer)
	}
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	if answer := d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`); !strings.Contains(answer, dir) {
		t.Error(answer)
	}
	mounttest.Run(t, dir, "write")
	mounttest.Run(t, dir, "check")
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"b"}`)
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, dir, "check")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"b"}`)
	if mounttest.Mounted(t, dir) {
		t.Error("mounted after the last Unmount")
	}
	wantObject(t, s, "objvol/vol/file", []byte("content"))
	wantObject(t, s, "objvol/vol/dir/large", large)
	d.must("VolumeDriver.Remove", `{"Name":"vol"}`)
	wantObject(t, s, "objvol/vol/file", []byte("content"))
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(d.stderr.String(), s.SecretKey) {
		t.Error("the log shows a secret")
	}
	for _, name := range []string{d.socket, filepath.Join(state, controlSocket)} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

func TestServeMountsAgain(t *testing.T) {
	s := objstoretest.MinIO(t)
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	for i, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		d := startServe(t, s, state)
		if i == 0 {
			d.must("VolumeDriver.Create", `{"Name":"vol"}`)
			d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
			mounttest.Run(t, dir, "write")
		}
		eventually(t, "the volume is mounted", func() bool {
			return strings.Contains(d.call("VolumeDriver.Get", `{"Name":"vol"}`), `"state":"mounted"`)
		})
		mounttest.Run(t, dir, "check")
		d.end(t, signal)
	}
	d := startServe(t, s, state)
	eventually(t, "the volume is mounted", func() bool {
		return strings.Contains(d.call("VolumeDriver.Get", `{"Name":"vol"}`), `"state":"mounted"`)
	})
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	wantObject(t, s, "objvol/vol/dir/large", large)
	if code := d.end(t, syscall.SIGINT); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// The engine mounts again what ran when it was killed, with the same IDs. What it mounted
// before is forgotten when it starts, which only the start of a managed plugin tells.
func TestManagedPluginCountsAnew(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	for i, flags := range [][]string{nil, {"--managed"}} {
		d := startServe(t, objstoretest.Server{}, state, flags...)
		if i == 0 {
			d.must("VolumeDriver.Create", `{"Name":"vol"}`)
		}
		d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
		if i == 1 {
			d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
			if mounttest.Mounted(t, dir) {
				t.Error("mounted after the last Unmount")
			}
		}
		if code := d.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestServeStopsWithSomethingPending(t *testing.T) {
	minio := objstoretest.MinIO(t)
	c, s := newCable(t, minio)
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	d := startServe(t, s, state, "--stop-timeout", "1s")
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, dir, "list")
	c.set(true)
	mounttest.Run(t, dir, "write more")
	if code := d.end(t, syscall.SIGTERM); code != exitPending || !strings.Contains(d.stderr.String(), "/more") {
		t.Errorf("exit code %d, want %d", code, exitPending)
	}
	c.set(false)
	d = startServe(t, s, state)
	eventually(t, "the volume is mounted", func() bool {
		return strings.Contains(d.call("VolumeDriver.Get", `{"Name":"vol"}`), `"state":"mounted"`)
	})
	mounttest.Run(t, dir, "check more")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	wantObject(t, minio, "objvol/vol/more", large)
}

func TestVolumeCommands(t *testing.T) {
	s := objstoretest.MinIO(t)
	d := startServe(t, s, filepath.Join(t.TempDir(), "state"))
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"volume create one -o uid=5", exitOK, "one\n"},
		{"volume create two -o nonsense=5", exitError, "nearest"},
		{"volume ls", exitOK, "one"},
		{"volume inspect one", exitOK, `"uid": "5"`},
		{"volume inspect other", exitError, "no such volume"},
		{"volume rm one", exitOK, "one\n"},
		{"volume rm one", exitError, "no such volume"},
	} {
		out, code := d.command(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d, want %d; says %q, want %q in it", c.args, code, c.code, out, c.says)
		}
	}
	info, err := os.Stat(filepath.Join(d.state, controlSocket))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v", info, err)
	}
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if out, code := d.command("volume", "ls"); code != exitError || !strings.Contains(out, "objvol serve") {
		t.Errorf("without a driver: exit code %d, %q", code, out)
	}
}

func TestTwoDrivers(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	d := startServe(t, objstoretest.Server{}, state)
	for _, socket := range []string{d.socket, filepath.Join(state, "other.sock")} {
		other := start(t, objstoretest.Server{}, "serve", "--state-dir", state, "--socket", socket)
		if code := other.code(t); code != exitError || !strings.Contains(other.stderr.String(), "another driver") {
			t.Errorf("on %s: exit code %d, %s", socket, code, other.stderr)
		}
	}
	if answer := d.must("VolumeDriver.Capabilities", "{}"); !strings.Contains(answer, `"Scope":"local"`) {
		t.Error(answer)
	}
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestMetricsOfADriver(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	d := startServe(t, objstoretest.Server{}, state, "--metrics-addr", "127.0.0.1:0")
	_, after, _ := strings.Cut(d.stderr.String(), "for=metrics on=")
	addr, _, _ := strings.Cut(after, "\n")
	get := func(path string) string {
		return fetch(t, http.DefaultClient, http.MethodGet, "http://"+addr+path, "")
	}
	want := func(lines ...string) {
		t.Helper()
		all := get("/metrics")
		for _, line := range lines {
			if !strings.Contains(all, "\n"+line+"\n") {
				t.Errorf("no %s", line)
			}
		}
	}
	if get("/healthz") != "ok\n" {
		t.Error("not healthy")
	}
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	want("objvol_mounts 0")
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	want("objvol_mounts 1", `objvol_volume_references{volume="vol"} 1`, `objvol_io_duration_seconds_count{op="write",volume="vol"} 0`)
	mounttest.Run(t, dir, "write local")
	want(`objvol_io_duration_seconds_count{op="write",volume="vol"} 1`, `objvol_io_bytes_total{op="write",volume="vol"} 5`)
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	want("objvol_mounts 0", `objvol_volume_references{volume="vol"} 0`, `objvol_dirty_bytes{volume="vol"} 0`)
	d.must("VolumeDriver.Remove", `{"Name":"vol"}`)
	if strings.Contains(get("/metrics"), `objvol_volume_references{volume="vol"}`) {
		t.Error("series of a removed volume are left")
	}
	debug := fetch(t, overSocket(filepath.Join(state, "debug.sock")), http.MethodGet, "http://debug/debug/pprof/goroutine?debug=1", "")
	if !strings.Contains(debug, "goroutine profile") {
		t.Error(debug)
	}
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
