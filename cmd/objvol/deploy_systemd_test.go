package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
)

// systemdFiles is where the units lie.
const systemdFiles = "../../deploy/systemd"

// installUnits puts the units below root as the README says, with the program of this test.
func installUnits(t *testing.T, root string) (units string) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	units = filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"objvol.service", "objvol.socket"} {
		text, err := os.ReadFile(filepath.Join(systemdFiles, name))
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/objvol", binary))
		if err := os.WriteFile(filepath.Join(units, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return units
}

func TestSystemdUnits(t *testing.T) {
	requireProgram(t, "systemd-analyze", "systemd")
	units := installUnits(t, t.TempDir())
	for _, name := range []string{"objvol.service", "objvol.socket"} {
		cmd := exec.CommandContext(within(t, deadline), "systemd-analyze", "verify", "--recursive-errors=no", filepath.Join(units, name))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// machine is a systemd of the test's own, in namespaces of its own.
type machine struct {
	t    *testing.T
	init string // the process id of systemd, as this process sees it
}

// boot starts systemd with our units and no other service. /run is empty and /var/lib is
// a folder of the test's.
func boot(t *testing.T) machine {
	t.Helper()
	requireProgram(t, "systemctl", "systemd")
	mounttest.Require(t)
	root := t.TempDir()
	units := installUnits(t, root)
	if _, err := command(t.Context(), "systemctl", "--root", root, "enable", "objvol.socket"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"basic", "shutdown", "sockets", "sysinit"} {
		if err := os.Symlink("/lib/systemd/system/"+name+".target", filepath.Join(units, name+".target")); err != nil {
			t.Fatal(err)
		}
	}
	lib := filepath.Join(root, "var/lib")
	groups, group := filepath.Join(root, "cgroup"), fmt.Sprintf("objvol-test-%d", os.Getpid())
	for _, dir := range []string{lib, filepath.Join(units, "objvol.service.d"), groups} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		eventually(t, "the cgroups are empty", func() bool {
			_, err := command(context.WithoutCancel(t.Context()), "unshare", "--mount", "sh", "-euc",
				`mount -t cgroup2 cgroup2 "$1"; find "$1/$2" -depth -type d -delete`, "sh", groups, group)
			return err == nil
		})
	})
	log := filepath.Join(root, "log")
	own := "[Service]\nEnvironment=" + envProgram + "=1\nStandardError=append:" + log + "\n"
	if err := os.WriteFile(filepath.Join(units, "objvol.service.d/test.conf"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}

	said := &output{}
	// systemd takes the root of its hierarchy of cgroups for its own.
	cmd := exec.Command("unshare", "--mount", "sh", "-euc", `
		mount -t cgroup2 cgroup2 "$1"
		mkdir "$1/$2"
		echo $$ >"$1/$2/cgroup.procs"
		umount "$1"
		exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup --net --mount-proc sh -euc '
			mount -t tmpfs tmpfs /run
			mount --bind "$1" /var/lib
			umount -l /sys/fs/cgroup 2>/dev/null || : # of the namespaces around this one
			mount -t cgroup2 cgroup2 /sys/fs/cgroup
			exec env -i container=test SYSTEMD_UNIT_PATH="$2" PATH="$PATH" \
				/lib/systemd/systemd --unit=basic.target --log-target=console --show-status=no
		' sh "$3" "$4"`, "sh", groups, group, lib, units)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := machine{t: t}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and with it systemd, and with that all of its namespace
		_ = cmd.Wait()
		if t.Failed() {
			driver, _ := os.ReadFile(log)
			t.Logf("systemd: %s\nobjvol: %s", said, driver)
		}
	})
	eventually(t, "systemd runs", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		m.init = strings.TrimSpace(string(children))
		if err != nil || m.init == "" {
			return false
		}
		_, err = m.systemctl("is-active", "objvol.socket")
		return err == nil
	})
	return m
}

// systemctl asks this systemd.
func (m machine) systemctl(args ...string) (string, error) {
	return command(m.t.Context(), "nsenter", append([]string{"--target", m.init, "--mount", "--pid", "--cgroup", "systemctl"}, args...)...)
}

// path is a path of the machine.
func (m machine) path(path string) string { return "/proc/" + m.init + "/root" + path }

// mounted reports whether systemd, and so any service of the machine, sees a mount.
func (m machine) mounted(dir string) bool {
	m.t.Helper()
	table, err := os.ReadFile("/proc/" + m.init + "/mounts")
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Contains(string(table), " "+dir+" fuse.objvol ")
}

// property is what systemd says of the service.
func (m machine) property(name string) string {
	m.t.Helper()
	out, err := m.systemctl("show", "--value", "--property", name, "objvol.service")
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// The socket starts the driver, whose mounts others see; a driver that is killed comes
// back; a stop brings all home and leaves the socket, which starts the driver again.
func TestSystemd(t *testing.T) {
	m := boot(t)
	d := served{t: t, socket: m.path("/run/docker/plugins/objvol.sock")}
	const dir = "/var/lib/objvol/mnt/vol"
	if state := m.property("ActiveState"); state != "inactive" {
		t.Fatalf("the service is %s before anybody asked", state)
	}
	d.must("Plugin.Activate", "")
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	if !m.mounted(dir) {
		t.Fatal("nobody but the driver sees the mount")
	}
	mounttest.Run(t, m.path(dir), "write more")

	pid, err := strconv.Atoi(m.property("MainPID"))
	if err != nil || pid <= 1 {
		t.Fatalf("MainPID %d, %v", pid, err)
	}
	if _, err := m.systemctl("kill", "--signal=KILL", "objvol.service"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed driver is started again", func() bool {
		return m.property("NRestarts") == "1" && m.property("ActiveState") == "active"
	})
	eventually(t, "the volume is mounted", func() bool {
		return strings.Contains(d.call("VolumeDriver.Get", `{"Name":"vol"}`), `"state":"mounted"`)
	})
	mounttest.Run(t, m.path(dir), "check more")

	if _, err := m.systemctl("stop", "objvol.service"); err != nil {
		t.Fatal(err)
	}
	if result := m.property("Result"); result != "success" || m.mounted(dir) {
		t.Errorf("after the stop: result %s, mounted %v", result, m.mounted(dir))
	}
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	if state := m.property("ActiveState"); state != "active" {
		t.Errorf("the service is %s after a request", state)
	}
	if _, err := m.systemctl("stop", "objvol.socket", "objvol.service"); err != nil {
		t.Fatal(err)
	}
}
