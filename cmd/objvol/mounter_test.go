package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/driver"
	"objvol/fusefs/mounttest"
	"objvol/objstore"
	"objvol/objstore/objstoretest"
)

// testMounter is a mounter of this process, closed at the end of the test. The embedded
// store lies in storeDir.
func testMounter(t *testing.T, stateDir, storeDir string) *mounter {
	t.Helper()
	h, err := newHost(stateDir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.stores.dir = storeDir
	m := newMounter(h)
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), h.close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// specOn is a volume on a server; one without an endpoint is on the embedded store.
func specOn(t *testing.T, s objstoretest.Server, name string, options map[string]string) driver.Spec {
	t.Helper()
	d := driver.BuiltIn()
	d.Endpoint, d.Region = s.Endpoint, "us-east-1"
	d.AccessKey, d.SecretKey = driver.NewSecret(s.AccessKey), driver.NewSecret(s.SecretKey)
	spec, err := d.Resolve(name, options)
	if err != nil {
		t.Fatal(err)
	}
	spec.ID = name
	return spec
}

// mustMount prepares and mounts.
func mustMount(t *testing.T, m *mounter, spec driver.Spec, dir string) *live {
	t.Helper()
	l, err := mountWithin(t.Context(), m, spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// mustUnmount unmounts a volume of which everything is in the bucket afterwards.
func mustUnmount(t *testing.T, l *live) {
	t.Helper()
	if err := l.Unmount(within(t, deadline)); err != nil {
		t.Fatal(err)
	}
}

// isOpen reports whether a volume is open in this process.
func isOpen(m *mounter, spec driver.Spec) bool {
	s := m.slot(spec.ID)
	s.take()
	defer s.release()
	return s.live != nil
}

func TestVolumeOnMinIO(t *testing.T) {
	mounttest.Require(t)
	s := objstoretest.MinIO(t)
	testVolume(t, specOn(t, s, "vol", nil))
	wantObject(t, s, "objvol/vol/file", []byte("content"))
	wantObject(t, s, "objvol/vol/dir/large", large)
	wantObject(t, s, "objvol/vol/link", []byte("dir/large"))
	wantObject(t, s, "objvol/vol/empty/", nil)
	if status, body := curl(t, s, "objvol/.objvol/volumes/vol/volume.json"); status != "200" || strings.Contains(string(body), s.SecretKey) {
		t.Errorf("the definition: status %s, %s", status, body)
	}
}

func TestVolumeOnTheEmbeddedStore(t *testing.T) {
	mounttest.Require(t)
	testVolume(t, specOn(t, objstoretest.Server{}, "vol", nil))
}

// testVolume writes a volume, mounts it again, and then as another host that has nothing
// of it.
func testVolume(t *testing.T, spec driver.Spec) {
	t.Helper()
	dir, store := mounttest.Dir(t), t.TempDir()
	m := testMounter(t, t.TempDir(), store)
	if empty, err := m.Prepare(t.Context(), spec); err != nil || !empty {
		t.Fatalf("a new prefix is empty: %v, %v", empty, err)
	}
	l := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "write")
	mounttest.Run(t, dir, "check")
	mustUnmount(t, l)
	if isOpen(m, spec) {
		t.Error("the volume stays open although all is done")
	}
	if left, err := m.Pending(t.Context(), spec); err != nil || !left.None() {
		t.Errorf("pending after a clean Unmount: %v, %v", left, err)
	}
	if empty, err := m.Prepare(t.Context(), spec); err != nil || empty {
		t.Errorf("a prefix with objects is not empty: %v, %v", empty, err)
	}

	l = mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "check")
	mustUnmount(t, l)

	m.stateDir = t.TempDir()
	l = mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "check")
	mustUnmount(t, l)
}

func TestReadOnlyVolume(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir := mounttest.Dir(t)
	m := testMounter(t, t.TempDir(), "")
	l := mustMount(t, m, specOn(t, s, "vol", nil), dir)
	mounttest.Run(t, dir, "write")
	mustUnmount(t, l)

	m = testMounter(t, t.TempDir(), "")
	l = mustMount(t, m, specOn(t, s, "vol", map[string]string{"read-only": "true"}), dir)
	mounttest.Run(t, dir, "check")
	mustUnmount(t, l)
	if _, err := m.Prepare(t.Context(), specOn(t, s, "other", map[string]string{"read-only": "true", "bucket": "missing"})); !errors.Is(err, objstore.ErrNoBucket) {
		t.Errorf("a read-only volume in a missing bucket: %v", err)
	}
}

func TestWrongKeys(t *testing.T) {
	s := objstoretest.MinIO(t)
	s.SecretKey = "not-the-secret"
	m := testMounter(t, t.TempDir(), "")
	_, err := m.Prepare(t.Context(), specOn(t, s, "vol", nil))
	if !errors.Is(err, objstore.ErrAccessDenied) || strings.Contains(err.Error(), s.SecretKey) {
		t.Error(err)
	}
}

// pendingVolume is a volume on a cut server with the file "more" in its local state alone.
func pendingVolume(t *testing.T, m *mounter, c *cable, spec driver.Spec, dir string) {
	t.Helper()
	l := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "list")
	c.set(true)
	mounttest.Run(t, dir, "write more")
	err := l.Unmount(within(t, time.Second))
	left, ok := errors.AsType[*driver.PendingError](err)
	if !ok {
		t.Fatalf("unmounted from a cut server: %v", err)
	}
	if left.Files == 0 || left.Bytes != int64(len(large)) || !slices.Contains(left.Names, "/more") {
		t.Errorf("pending: %+v", left.Pending)
	}
	if mounttest.Mounted(t, dir) {
		t.Error("the mount is still there")
	}
	if left, err := m.Pending(t.Context(), spec); err != nil || left.Bytes != int64(len(large)) {
		t.Errorf("pending: %+v, %v", left, err)
	}
}

// sent waits until nothing of the volume is pending.
func sent(t *testing.T, m *mounter, spec driver.Spec) {
	t.Helper()
	eventually(t, "all is sent", func() bool {
		left, err := m.Pending(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return left.None()
	})
}

func TestPendingIsSentBehindAnUnmount(t *testing.T) {
	minio := objstoretest.MinIO(t)
	c, s := newCable(t, minio)
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	pendingVolume(t, m, c, spec, dir)
	c.set(false)
	sent(t, m, spec)
	wantObject(t, minio, "objvol/vol/more", large)
	eventually(t, "the volume is closed", func() bool { return !isOpen(m, spec) })
}

func TestMountTakesOverWhatIsPending(t *testing.T) {
	minio := objstoretest.MinIO(t)
	c, s := newCable(t, minio)
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	pendingVolume(t, m, c, spec, dir)

	// The server is still cut: only the filesystem that is open can have the file.
	l, err := m.mount(within(t, deadline), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	mounttest.Run(t, dir, "check more")
	c.set(false)
	mustUnmount(t, l)
	wantObject(t, minio, "objvol/vol/more", large)
}

func TestPendingIsSentAfterARestart(t *testing.T) {
	minio := objstoretest.MinIO(t)
	c, s := newCable(t, minio)
	dir, state := mounttest.Dir(t), t.TempDir()
	spec := specOn(t, s, "vol", nil)
	m := testMounter(t, state, "")
	pendingVolume(t, m, c, spec, dir)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	m = testMounter(t, state, "")
	if left, err := m.Pending(t.Context(), spec); err != nil || left.Bytes != int64(len(large)) {
		t.Errorf("pending: %+v, %v", left, err)
	}
	c.set(false)
	sent(t, m, spec)
	wantObject(t, minio, "objvol/vol/more", large)
}

func TestOneProcessHasAVolume(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir, state := mounttest.Dir(t), t.TempDir()
	spec := specOn(t, s, "vol", nil)
	l := mustMount(t, testMounter(t, state, ""), spec, dir)
	other := testMounter(t, state, "")
	if _, err := other.Mount(t.Context(), spec, dir); !errors.Is(err, errInUse) {
		t.Errorf("mounted twice: %v", err)
	}
	if err := other.Remove(t.Context(), spec, false); !errors.Is(err, errInUse) {
		t.Errorf("removed while mounted: %v", err)
	}
	mustUnmount(t, l)
}

func TestRemove(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir, state := mounttest.Dir(t), t.TempDir()
	m := testMounter(t, state, "")
	// A name that begins like the other's, and one that lies deeper.
	neighbour, inside := specOn(t, s, "vol2", nil), specOn(t, s, "in", map[string]string{"prefix": "x/vol"})
	spec := specOn(t, s, "vol", nil)
	for _, v := range []driver.Spec{neighbour, inside, spec} {
		l := mustMount(t, m, v, dir)
		mounttest.Run(t, dir, "write")
		mustUnmount(t, l)
	}

	for range 2 {
		if err := m.Remove(t.Context(), spec, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(m.volumeDir(spec)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("local state is left: %v", err)
	}
	wantObject(t, s, "objvol/vol/file", []byte("content"))
	wantObject(t, s, "objvol/vol/dir/large", large)

	for range 2 {
		if err := m.Remove(t.Context(), spec, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"vol/file", "vol/dir/large", "vol/dir/", "vol/empty/", ".objvol/volumes/vol/volume.json"} {
		wantNoObject(t, s, "objvol/"+key)
	}
	wantObject(t, s, "objvol/vol2/file", []byte("content"))
	wantObject(t, s, "objvol/x/vol/file", []byte("content"))
	if status, _ := curl(t, s, "objvol/.objvol/volumes/vol2/volume.json"); status != "200" {
		t.Errorf("the neighbour's definition: status %s", status)
	}
}

func TestRemoveOnTheEmbeddedStore(t *testing.T) {
	dir, state := mounttest.Dir(t), t.TempDir()
	m := testMounter(t, state, filepath.Join(state, "s3"))
	spec := specOn(t, objstoretest.Server{}, "vol", nil)
	l := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "write")
	mustUnmount(t, l)
	if err := m.Remove(t.Context(), spec, true); err != nil {
		t.Fatal(err)
	}
	if empty, err := m.Prepare(t.Context(), spec); err != nil || !empty {
		t.Errorf("after the data was deleted: empty %v, %v", empty, err)
	}
}

func TestRemoveRefusesAWholeBucket(t *testing.T) {
	s := objstoretest.MinIO(t)
	m := testMounter(t, t.TempDir(), "")
	spec := specOn(t, s, "vol", map[string]string{"prefix": ""})
	if _, err := m.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(t.Context(), spec, true); err == nil || !strings.Contains(err.Error(), "prefix is empty") {
		t.Errorf("all of a bucket was deleted: %v", err)
	}
}

func TestSomebodyElsesDefinition(t *testing.T) {
	s := objstoretest.MinIO(t)
	spec := specOn(t, s, "vol", nil)
	for i, want := range []bool{true, false} {
		empty, err := testMounter(t, t.TempDir(), "").Prepare(t.Context(), spec)
		if err != nil || empty != want {
			t.Errorf("Prepare %d: empty %v, %v, want %v", i, empty, err, want)
		}
	}
}

func TestCapabilitiesAreRemembered(t *testing.T) {
	s := objstoretest.MinIO(t)
	state, dir := t.TempDir(), mounttest.Dir(t)
	spec := specOn(t, s, "vol", nil)
	m := testMounter(t, state, "")
	mustUnmount(t, mustMount(t, m, spec, dir))
	file := capabilitiesPath(m.volumeDir(spec))
	caps, ok := loadCapabilities(file, placeOf(spec), false)
	if !ok || !caps.ConditionalPut || !caps.ListMetadata {
		t.Fatalf("%+v, %v", caps, ok)
	}
	other := spec
	other.Bucket = "elsewhere"
	if _, ok := loadCapabilities(file, placeOf(other), true); ok {
		t.Error("what one bucket can do is believed of another")
	}
	// What an older version found out lacks what it did not ask for.
	data, err := json.Marshal(map[string]any{"Endpoint": spec.Endpoint, "Bucket": spec.Bucket, "Capabilities": map[string]bool{"ListMetadata": true}})
	if err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "older")
	if err := os.WriteFile(older, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := loadCapabilities(older, placeOf(spec), false); ok {
		t.Error("an answer to fewer questions is taken for the whole")
	}
	if caps, ok := loadCapabilities(older, placeOf(spec), true); !ok || !caps.ListMetadata {
		t.Errorf("who cannot ask does not take an older answer: %+v, %v", caps, ok)
	}
	// A server that is believed is not asked again.
	caps.ListMetadata = false
	if err := saveCapabilities(file, placeOf(spec), caps); err != nil {
		t.Fatal(err)
	}
	m = testMounter(t, state, "")
	l, err := m.mount(t.Context(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if l.bucket.Capabilities() != caps {
		t.Errorf("%+v", l.bucket.Capabilities())
	}
	mustUnmount(t, l)
}

// hold starts a process with a mount namespace of its own, in which the mount stays. It
// prints the file "file" of the mount and ends when its input does.
func hold(t *testing.T, dir string) (end func() string) {
	t.Helper()
	return script(t, dir, syscall.CLONE_NEWNS, `echo ready; read -r line; cat "$0/file"`)
}

// script runs a shell with dir as $0 until it says "ready". end closes its input, waits for
// it and returns what it said then.
func script(t *testing.T, dir string, unshare uintptr, text string) (end func() string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", text, dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unshare, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := &output{}
	cmd.Stdout = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is ready", func() bool { return strings.Contains(said.String(), "ready") })
	return func() string {
		t.Helper()
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		return strings.TrimPrefix(said.String(), "ready\n")
	}
}

func TestAnOpenFileIsServedAfterUnmount(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	l := mustMount(t, m, spec, dir)
	end := script(t, dir, 0, `exec 3>"$0/held"; echo ready; read -r line; echo late >&3`)
	if err := l.Unmount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.mount(within(t, 100*time.Millisecond), spec, dir); !errors.Is(err, errHeld) {
		t.Errorf("mounted a second time: %v", err)
	}
	end()
	eventually(t, "the volume is closed", func() bool { return !isOpen(m, spec) })
	wantObject(t, s, "objvol/vol/held", []byte("late\n"))
	mustUnmount(t, mustMount(t, m, spec, dir))
}

func TestAnotherNamespaceKeepsTheMount(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	l := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "write")
	end := hold(t, dir)
	mustUnmount(t, l)
	if !isOpen(m, spec) {
		t.Error("closed although a namespace has the mount")
	}
	session := l.session

	again := mustMount(t, m, spec, dir)
	if again.session != session {
		t.Error("the volume has two connections")
	}
	mounttest.Run(t, dir, "check")
	mustUnmount(t, again)
	if got := end(); got != "content" {
		t.Errorf("the namespace reads %q", got)
	}
	eventually(t, "the volume is closed", func() bool { return !isOpen(m, spec) })

	mustUnmount(t, mustMount(t, m, spec, dir))
}

func TestAConnectionThatWasEndedIsReplaced(t *testing.T) {
	s := objstoretest.MinIO(t)
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	l := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "write")
	end := hold(t, dir)
	if err := l.session.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(t.Context()); err == nil {
		t.Error("a dead mount is verified")
	}
	if err := l.Unmount(within(t, deadline)); err != nil {
		t.Error(err)
	}
	again := mustMount(t, m, spec, dir)
	mounttest.Run(t, dir, "check")
	mustUnmount(t, again)
	_ = end // it meets a dead mount; the test's context ends it
}

func TestStatus(t *testing.T) {
	c, s := newCable(t, objstoretest.MinIO(t))
	dir := mounttest.Dir(t)
	m, spec := testMounter(t, t.TempDir(), ""), specOn(t, s, "vol", nil)
	m.countReferences(func(string) int { return 7 })
	l := mustMount(t, m, spec, dir)
	if n := l.numbers(7); !n.Mounted || n.References != 7 {
		t.Errorf("%+v", n)
	}
	mounttest.Run(t, dir, "list")
	c.set(true)
	mounttest.Run(t, dir, "write local")
	eventually(t, "the status tells what is pending and why", func() bool {
		status := l.Status()
		return status.Pending.Bytes == int64(len("local")) && status.LastError != nil
	})
	if err := l.Unmount(ended(t)); err == nil {
		t.Error("nothing is pending")
	}
	if l.numbers(0).Mounted {
		t.Error("still counts as mounted")
	}
}

// ended is a context that has ended.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
