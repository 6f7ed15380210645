package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"objvol/objstore/objstoretest"
)

// project is a compose file that runs one container on three volumes: two of its own, of
// which one is deleted with its data, and one that was made before.
type project struct {
	*engine
	file               string
	own, fleeting, old string // volumes, as the engine names them
}

func newProject(t *testing.T, s objstoretest.Server) *project {
	t.Helper()
	e := newEngine(t, s, "compose")
	p := &project{
		engine: e, file: filepath.Join(t.TempDir(), "compose.yml"),
		own: e.name + "_own", fleeting: e.name + "_fleeting", old: e.name + "-old",
	}
	p.write("10s")
	e.volumes = []string{p.own, p.fleeting}
	return p
}

// write writes the file; ttl is an option of the project's own volume.
func (p *project) write(ttl string) {
	p.t.Helper()
	text := fmt.Sprintf(`
version: "2.4"
services:
  app:
    image: %[1]s:1
    command: [busybox, sleep, "3600"]
    labels: [%[1]s]
    network_mode: none
    stop_grace_period: 0s
    volumes: ["own:/own", "fleeting:/fleeting", "old:/old"]
volumes:
  own:
    driver: %[1]s
    driver_opts: {ttl: %[2]s}
  fleeting:
    driver: %[1]s
    driver_opts: {on-remove: delete}
  old:
    external: true
    name: %[1]s-old
`, p.name, ttl)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// compose runs docker-compose on the file.
func (p *project) compose(args ...string) (string, error) {
	return command(p.t.Context(), "docker-compose", append([]string{"-p", p.name, "-f", p.file}, args...)...)
}

// must is compose where nothing may go wrong.
func (p *project) must(args ...string) string {
	p.t.Helper()
	out, err := p.compose(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// app runs a shell script in the container.
func (p *project) app(script string) string {
	p.t.Helper()
	return p.must("exec", "-T", "app", "sh", "-euc", script)
}

// wantVolumes fails the test unless the engine has these volumes and the driver mounts
// nothing.
func (p *project) wantVolumes(want ...string) {
	p.t.Helper()
	if got := strings.Fields(p.docker("volume", "ls", "-q")); sortLines(strings.Join(got, "\n")) != sortLines(strings.Join(want, "\n")) {
		p.t.Errorf("volumes %v, want %v", got, want)
	}
	p.wantMounts(0)
}

// A project's own volumes come and go with "down -v", and what they hold stays in the
// bucket unless it is to be deleted; one that is external is left alone.
func TestEngineCompose(t *testing.T) {
	t.Parallel()
	requireProgram(t, "docker-compose", "docker-compose")
	if !alone(t) {
		return
	}
	server := objstoretest.MinIO(t)
	p := newProject(t, server)
	object := func(volume string) string { return "objvol/" + volume + "/file" }
	const look = `for v in own fleeting old; do cat /$v/file 2>/dev/null || echo nothing in $v; done`

	if _, err := p.compose("up", "-d"); err == nil || !strings.Contains(err.Error(), "declared as external, but could not be found") {
		t.Errorf("up without the external volume: %v", err)
	}
	p.create("old")
	p.must("up", "-d")
	p.app(`for v in own fleeting old; do echo of $v >/$v/file; done`)
	p.wantMounts(3)

	p.must("down")
	p.wantVolumes(p.own, p.fleeting, p.old)
	for volume, content := range map[string]string{p.own: "of own\n", p.fleeting: "of fleeting\n", p.old: "of old\n"} {
		wantObject(t, server, object(volume), []byte(content))
	}
	p.must("up", "-d")
	if got := p.app(look); got != "of own\nof fleeting\nof old" {
		t.Errorf("after down and up: %q", got)
	}

	p.must("down", "-v")
	p.wantVolumes(p.old)
	wantObject(t, server, object(p.own), []byte("of own\n"))
	wantNoObject(t, server, object(p.fleeting))
	wantObject(t, server, object(p.old), []byte("of old\n"))
	p.must("up", "-d")
	if got := p.app(look); got != "of own\nnothing in fleeting\nof old" {
		t.Errorf("after down -v and up: %q", got)
	}

	// Options are fixed while the volume is there: compose says so and touches nothing.
	p.write("1s")
	if _, err := p.compose("up", "-d"); err == nil || !strings.Contains(err.Error(), `uses a different "ttl" driver_opt`) {
		t.Errorf("up with another option: %v", err)
	}
	p.must("down", "-v")
	p.must("up", "-d")
	if got := p.app(look); got != "of own\nnothing in fleeting\nof old" {
		t.Errorf("with another option: %q", got)
	}
	p.must("down", "-v")
	p.wantVolumes(p.old)
}
