package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"objvol/objstore/objstoretest"
)

// Everything that the driver can be told can be set, but for what the plugin's folder has
// fixed; and every default is in the code, because an upgrade brings no values for new
// variables.
func TestPluginSettings(t *testing.T) {
	text, err := os.ReadFile("../../deploy/plugin/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Env []struct {
			Name, Value string
			Settable    []string
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	want := []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
	for _, s := range settings {
		if !slices.Contains([]string{optSocket, optSocketGroup, optStateDir, optStopTimeout}, s.name) {
			want = append(want, s.variable())
		}
	}
	var got []string
	for _, v := range config.Env {
		got = append(got, v.Name)
		if v.Value != "" || !slices.Equal(v.Settable, []string{"value"}) {
			t.Errorf("%s: %q, settable %v", v.Name, v.Value, v.Settable)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("config.json has %v, want %v", got, want)
	}
}

// plugin installs a managed plugin that is made here, disabled. The engine is without a
// driver of its own.
func plugin(t *testing.T) *engine {
	t.Helper()
	requireEngine(t)
	name := fmt.Sprintf("objvol-test-plugin-%d", os.Getpid())
	e := &engine{t: t, name: name, image: name + ":1", state: filepath.Join(t.TempDir(), "none")}
	dir := filepath.Join(t.TempDir(), "plugin")
	if out, err := command(t.Context(), "make", "-C", "../..", "plugin", "PLUGIN="+dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	e.docker("plugin", "create", name, dir)
	t.Cleanup(func() {
		e.remove() // volumes first: they hold the plugin
		if strings.Contains(e.try("plugin", "ls", "--format", "{{.Name}}"), name) {
			e.try("plugin", "rm", "-f", name)
		}
		if err := detachBelow(e.state); err != nil {
			t.Error(err)
		}
	})
	e.importImage(e.image)
	e.state = "/var/lib/docker/plugins/" + e.docker("plugin", "inspect", "--format", "{{.ID}}", name) + "/propagated-mount"
	return e
}

// wantMounted fails the test unless the host shows the plugin's volume mounted, or not. It
// does so twice: the engine has bound the folder to itself.
func wantMounted(e *engine, want bool) {
	e.t.Helper()
	if dirs := e.mounts(); (len(dirs) > 0) != want {
		e.t.Errorf("mounts %v, want some: %v", dirs, want)
	}
}

// A plugin from a folder: set, enabled, used, restarted, disabled and removed.
func TestPlugin(t *testing.T) {
	s := objstoretest.MinIO(t)
	e := plugin(t)
	metrics, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	keys := t.TempDir()
	for name, key := range map[string]string{"access": s.AccessKey, "secret": s.SecretKey} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A server that takes connections and never answers delays nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	e.docker("plugin", "set", e.name, "OBJVOL_ENDPOINT=http://"+silent.Addr().String(), "OBJVOL_METRICS_ADDR="+metrics,
		"keys.source="+keys, "OBJVOL_ACCESS_KEY_FILE=/keys/access", "OBJVOL_SECRET_KEY_FILE=/keys/secret")
	e.docker("plugin", "enable", e.name)
	e.docker("plugin", "disable", e.name)

	e.docker("plugin", "set", e.name, "OBJVOL_ENDPOINT="+s.Endpoint)
	e.docker("plugin", "enable", e.name)
	volume := e.create("v", "prefix=plugin/v")
	container := e.background(volume)
	wantMounted(e, true)
	e.exec(container, "mkdir /data/dir; echo from a plugin >/data/dir/file; sync /data/dir/file")
	wantObject(t, s, "objvol/plugin/v/dir/file", []byte("from a plugin\n"))
	if got := e.run(volume, "cat /data/dir/file"); got != "from a plugin" {
		t.Errorf("another container reads %q", got)
	}
	if dir := e.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume); !strings.HasPrefix(dir, "/var/lib/objvol/") {
		t.Errorf("the mountpoint %s is not below propagatedMount", dir)
	}
	e.stop(container)
	wantMounted(e, false)
	if message := e.refused("plugin", "disable", e.name); !strings.Contains(message, "in use") {
		t.Errorf("disable with a volume: %s", message)
	}

	// The state survives a restart.
	e.docker("plugin", "disable", "-f", e.name)
	e.docker("plugin", "enable", e.name)
	if got := e.run(volume, "cat /data/dir/file; echo again >/data/again"); got != "from a plugin" {
		t.Errorf("after a restart: %q", got)
	}
	wantObject(t, s, "objvol/plugin/v/again", []byte("again\n"))
	wantMounted(e, false)

	e.docker("volume", "rm", volume)
	e.volumes = nil
	e.docker("plugin", "disable", e.name)
	e.docker("plugin", "rm", e.name)
	wantObject(t, s, "objvol/plugin/v/dir/file", []byte("from a plugin\n"))
	if _, err := os.Stat(e.state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the plugin's folder is left: %v", err)
	}
}
