package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// startMount mounts in a process of its own and waits for the line that says so.
func startMount(t *testing.T, s objstoretest.Server, state, what, dir string, flags ...string) *program {
	t.Helper()
	p := start(t, s, append([]string{"mount", what, dir, "--state-dir", state}, flags...)...)
	if line := p.line(t); !strings.HasPrefix(line, "mounted ") || !strings.HasSuffix(line, dir+"\n") {
		t.Fatalf("it says %q", line)
	}
	return p
}

func TestMountCommand(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir, state := mounttest.Dir(t), t.TempDir()
	leaveNothing(t, dir)
	p := startMount(t, s, state, "s3://photos/2024", dir, "--debug-addr", "127.0.0.1:0", "--log-level", "info")
	mounttest.Run(t, dir, "write")
	_, after, _ := strings.Cut(p.stderr.String(), "for=debug on=")
	addr, _, _ := strings.Cut(after, "\n")
	if debug := fetch(t, http.DefaultClient, http.MethodGet, "http://"+addr+"/debug/pprof/goroutine?debug=1", ""); !strings.Contains(debug, "goroutine profile") {
		t.Error(debug)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if mounttest.Mounted(t, dir) {
		t.Error("still mounted")
	}
	wantObject(t, s, "photos/2024/file", []byte("content"))

	p = startMount(t, s, state, "s3://photos/2024/", dir)
	mounttest.Run(t, dir, "check")
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Error(err)
	}
	if code := p.code(t); code != exitOK {
		t.Errorf("after umount: exit code %d", code)
	}
}

func TestMountCommandOnTheEmbeddedStore(t *testing.T) {
	dir, state := mounttest.Dir(t), t.TempDir()
	leaveNothing(t, dir)
	for _, what := range []string{"write", "check"} {
		p := startMount(t, objstoretest.Server{}, state, "data", dir)
		mounttest.Run(t, dir, what)
		if code := p.end(t, syscall.SIGINT); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestMountCommandWithSomethingPending(t *testing.T) {
	minio := objstoretest.MinIO(t)
	c, s := newCable(t, minio)
	dir, state := mounttest.Dir(t), t.TempDir()
	leaveNothing(t, dir)
	p := startMount(t, s, state, "data", dir, "--stop-timeout", "1s")
	mounttest.Run(t, dir, "list")
	c.set(true)
	mounttest.Run(t, dir, "write more")
	if code := p.end(t, syscall.SIGTERM); code != exitPending || !strings.Contains(p.stderr.String(), "/more") {
		t.Errorf("exit code %d, %s", code, p.stderr)
	}
	c.set(false)
	p = startMount(t, s, state, "data", dir)
	mounttest.Run(t, dir, "check more")
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	wantObject(t, minio, "objvol/data/more", large)
}

func TestMountCommandSaysWhatIsWrong(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir := mounttest.Dir(t)
	for says, args := range map[string][]string{
		"no such file or directory": {"data", dir + "/missing"},
		"no such bucket":            {"s3://missing/x", dir, "-o", "read-only"},
	} {
		p := start(t, s, append([]string{"mount", "--state-dir", t.TempDir()}, args...)...)
		if code := p.code(t); code != exitError || !strings.Contains(p.stderr.String(), says) {
			t.Errorf("%v: exit code %d, %s", args, code, p.stderr)
		}
	}
}
