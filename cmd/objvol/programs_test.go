package main

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// disk is a volume that programs use as they would a local disk, mounted by the program
// in a process of its own.
type disk struct {
	server objstoretest.Server
	dir    string
	mount  *program
}

// newDisk mounts a volume that is empty, with flags of "objvol mount".
func newDisk(t *testing.T, flags ...string) *disk {
	t.Helper()
	d := &disk{dir: mounttest.Dir(t), server: objstoretest.MinIO(t)}
	leaveNothing(t, d.dir)
	d.attach(t, flags...)
	return d
}

// attach mounts the volume on a host that has never seen it.
func (d *disk) attach(t *testing.T, flags ...string) {
	t.Helper()
	d.mount = startMount(t, d.server, t.TempDir(), "s3://programs/disk", d.dir, flags...)
}

// detach ends the mount, which must bring everything to the bucket.
func (d *disk) detach(t *testing.T) {
	t.Helper()
	if code := d.mount.end(t, syscall.SIGTERM); code != exitOK {
		t.Fatalf("the mount ended with exit code %d", code)
	}
	if said := d.mount.stderr.String(); said != "" {
		t.Errorf("the mount said: %s", said)
	}
}

// move brings the volume to a host that has never seen it.
func (d *disk) move(t *testing.T, flags ...string) {
	t.Helper()
	d.detach(t)
	d.attach(t, flags...)
}

// sh runs a shell script in the volume's root and returns what it printed. One that does
// not end in time ends with its mount: it may wait for that where no signal reaches it.
func (d *disk) sh(t *testing.T, script string, env ...string) string {
	t.Helper()
	return d.shAs(t, nil, script, env...)
}

// shAs is sh as another user, or as root.
func (d *disk) shAs(t *testing.T, user *syscall.Credential, script string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", "cd "+d.dir+"\n"+script)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error {
		_ = d.mount.cmd.Process.Kill()
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// want fails the test unless a script prints what is wanted.
func (d *disk) want(t *testing.T, script, want string, env ...string) {
	t.Helper()
	if got := d.sh(t, script, env...); got != want {
		t.Errorf("%s\nprints %q, want %q", script, got, want)
	}
}
