package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/objstore/objstoretest"
)

// snapshot is everything that a tree on this host shows but its bytes: types, modes,
// owners, sizes of files, times to the nanosecond, targets of symlinks; and the hashes of its files.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	tree, err := command(t.Context(), "find", dir,
		"-type", "d", "-printf", "%P|%y|%m|%U|%G|%T@\n", "-o", "-printf", "%P|%y|%m|%U|%G|%T@|%s|%l\n")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := command(t.Context(), "sh", "-c", `cd "$1" && find . -type f -exec sha256sum {} +`, "sh", dir)
	if err != nil {
		t.Fatal(err)
	}
	return sortLines(tree + "\n" + sums)
}

// Two containers share one mount; their files are objects for any client; and the bucket
// alone is enough to have all of it again.
func TestEngineSharesAVolume(t *testing.T) {
	t.Parallel()
	server := objstoretest.MinIO(t)
	e := newEngine(t, server, "shared")
	options := []string{"bucket=shared", "prefix=app/data", "ttl=2s", "cache-size=64MiB"}
	volume := e.create("v", options...)
	one, two := e.background(volume), e.background(volume)
	dir := e.wantMounts(1)[0]
	e.wantHolders(volume, 2)

	e.exec(one, `cd /data
		echo from one >first
		mkdir -p deep/er empty
		dd if=/dev/urandom of=deep/er/random bs=64k count=48 2>/dev/null
		: >"no bytes ä"
		ln -s deep/er/random link; ln -s nowhere dangling
		chown 1234:4321 first; chmod 640 first; chmod 4755 "no bytes ä"; chmod 1777 empty; chown 7:8 empty`)
	if got := e.exec(two, "cat /data/first"); got != "from one" {
		t.Errorf("the other container reads %q", got)
	}

	e.stop(one)
	e.wantMounts(1)
	e.wantHolders(volume, 1)
	e.exec(two, "cd /data; echo from two >second; echo more >>first")

	// Times that only nanoseconds tell apart.
	for name, stamp := range map[string]string{"first": "@1600000000.123456789", "empty": "@1.000000001", "deep/er/random": "@1699999999.999999999"} {
		if _, err := command(t.Context(), "touch", "-d", stamp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, dir)
	if !strings.Contains(before, "first|f|640|1234|4321|1600000000.1234567890|14|") {
		t.Errorf("the tree is not as it was made:\n%s", before)
	}
	e.stop(two)
	e.wantMounts(0)
	e.wantHolders(volume, 0)

	wantObject(t, server, "shared/app/data/first", []byte("from one\nmore\n"))
	wantObject(t, server, "shared/app/data/second", []byte("from two\n"))
	wantObject(t, server, "shared/app/data/no%20bytes%20%C3%A4", nil)
	wantObject(t, server, "shared/app/data/empty/", nil)
	if _, random := curl(t, server, "shared/app/data/deep/er/random"); !strings.Contains(before, hash(random)+"  ./deep/er/random") {
		t.Errorf("the object of %d bytes is not the file", len(random))
	}

	e.stopDriver()
	if err := os.RemoveAll(e.state); err != nil {
		t.Fatal(err)
	}
	e.startDriver()
	e.create("v", options...)
	three := e.background(volume)
	if after := snapshot(t, e.wantMounts(1)[0]); after != before {
		t.Errorf("the tree from the bucket:\n%s\n\nis not what it was:\n%s", after, before)
	}
	e.stop(three)
	e.wantMounts(0)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// The first volume needs no server: one container writes, another reads.
func TestEngineEmbeddedStore(t *testing.T) {
	t.Parallel()
	e := newEngine(t, objstoretest.Server{}, "embedded")
	volume := e.create("v")
	if scope := e.docker("volume", "inspect", "--format", "{{.Scope}}", volume); scope != "local" {
		t.Errorf("scope %q", scope)
	}
	e.run(volume, "mkdir /data/dir; echo content >/data/dir/file; chown -R 1000 /data/dir")
	e.wantMounts(0)
	if got := e.run(volume, "cat /data/dir/file"); got != "content" {
		t.Errorf("read %q", got)
	}
	// A user who is not root.
	e.docker(e.arguments(volume, "--rm", "--user", "1000:1000", e.image, "sh", "-euc", "echo mine >/data/dir/file; ! touch /data/not-mine 2>/dev/null")...)
	if got := e.run(volume, "cat /data/dir/file"); got != "mine" {
		t.Errorf("read %q", got)
	}
	// A volume that nobody named goes with its container, and its data with it.
	e.docker("run", "--rm", "--label", e.name, "--network", "none", "--volume-driver", e.name, "-v", "/data", e.image, "sh", "-euc", "echo x >/data/file")
	for _, dir := range []string{"s3/objects/objvol", "s3/objects/objvol/.objvol/volumes", "volumes"} {
		found, err := os.ReadDir(filepath.Join(e.state, dir))
		found = slices.DeleteFunc(found, func(d os.DirEntry) bool { return strings.HasPrefix(d.Name(), ".") })
		if err != nil || len(found) != 1 {
			t.Errorf("%s has %v, want one volume's (%v)", dir, found, err)
		}
	}
	if message := e.refused("volume", "create", "-d", e.name, "-o", "buckett=x", e.name+"-none"); !strings.Contains(message, `the nearest is "bucket"`) {
		t.Errorf("an unknown option: %s", message)
	}
}

// "docker cp" mounts and unmounts with the ID of the container that runs.
func TestEngineCopyKeepsTheMount(t *testing.T) {
	t.Parallel()
	e := newEngine(t, objstoretest.Server{}, "cp")
	volume := e.create("v")
	container := e.background(volume)
	e.exec(container, "echo out >/data/out; exec 3>/data/open")

	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(in, []byte("in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.docker("cp", in, container+":/data/in")
	e.wantMounts(1)
	e.wantHolders(volume, 1)
	e.docker("cp", container+":/data/out", out)
	e.wantMounts(1)
	e.wantHolders(volume, 1)
	if got, err := os.ReadFile(out); err != nil || string(got) != "out\n" {
		t.Errorf("copied out: %q, %v", got, err)
	}
	if got := e.exec(container, "cat /data/in; echo after >/data/after; cat /data/after"); got != "in\nafter" {
		t.Errorf("the container reads %q", got)
	}
	// Without a Mount for each of the two this would show nothing.
	if got := e.metric(`objvol_call_duration_seconds_count{method="mount",volume="` + volume + `"}`); got < 3 {
		t.Errorf("%v calls of mount, want 3 or more", got)
	}
	e.stop(container)
	e.wantMounts(0)
}

// capChown is security.capability of a program that has CAP_CHOWN, permitted and
// effective (struct vfs_cap_data, version 2).
const capChown = "\x01\x00\x00\x02" + "\x01\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// readBusybox returns the program that the images have.
func readBusybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An empty volume takes over what the image has at its place.
func TestEngineCopyUp(t *testing.T) {
	t.Parallel()
	e := newEngine(t, objstoretest.Server{}, "copyup")
	stamp := time.Unix(1_500_000_000, 0)
	image := e.name + ":filled"
	file := func(name string, mode int64, uid, gid int, content string) entry {
		return entry{tar.Header{Name: name, Mode: mode, Uid: uid, Gid: gid, ModTime: stamp}, content}
	}
	dir := func(name string, mode int64, uid, gid int) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, Uid: uid, Gid: gid, ModTime: stamp}}
	}
	special := func(name string, kind byte, target string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: kind, Linkname: target, Mode: 0o620, Uid: 5, Gid: 6, ModTime: stamp}}
	}
	able := file("data/busybox", 0o755, 0, 0, readBusybox(t))
	able.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": capChown}
	e.importImage(image,
		dir("data/", 0o711, 999, 998),
		dir("data/empty/", 0o700, 70, 71),
		dir("data/sub/", 0o2775, 0, 42),
		file("data/sub/config", 0o640, 33, 34, "a = 1\n"),
		file("data/sub/large", 0o600, 0, 0, strings.Repeat("0123456789abcdef", 1<<17)),
		file("data/program", 0o4755, 0, 0, "#!/bin/sh\n"),
		file("data/nothing", 0o444, 65534, 65534, ""),
		special("data/link", tar.TypeSymlink, "sub/config"),
		// Between directories, an engine on fuse-overlayfs copies them as files of their own.
		special("data/sub/second", tar.TypeLink, "data/sub/config"),
		special("data/sub/third", tar.TypeLink, "data/sub/config"),
		special("data/fifo", tar.TypeFifo, ""),
		able,
	)
	// The engine fills directories after it has set their times.
	const look = `cd /data
		find . -type d -exec stat -c "%n %f %u %g" {} +
		stat -c "%n %Y" empty
		find . ! -type d -exec stat -c "%N %f %u %g %Y %s %h" {} +
		echo inodes: $(stat -c %i sub/config sub/second sub/third | uniq | wc -l)
		find . -type f -exec md5sum {} +`
	run := []string{"run", "--rm", "--network", "none", "--label", e.name}
	want := e.docker(append(run, image, "sh", "-euc", look)...)
	if !strings.Contains(want, "./empty 41c0 70 71\n") || !strings.Contains(want, "\ninodes: 1\n") {
		t.Fatalf("the image is not as it was made:\n%s", want)
	}
	volume := e.create("v")
	for range 2 { // as copied, and from the store
		if got := e.docker(append(run, "-v", volume+":/data", image, "sh", "-euc", look)...); sortLines(got) != sortLines(want) {
			t.Errorf("the volume has:\n%s\n\nthe image has:\n%s", got, want)
		}
	}

	// A program with a capability can what its user cannot, in the volume as in the image.
	run = append(run, "--user", "4711:4711", "-v", volume+":/data", image)
	e.refused(append(run, "/bin/busybox", "chown", "6:7", "/data/nothing")...)
	e.docker(append(run, "/data/busybox", "chown", "6:7", "/data/nothing")...)
	if got := e.docker(append(run, "/bin/busybox", "stat", "-c", "%u:%g", "/data/nothing")...); got != "6:7" {
		t.Errorf("the owner is %s", got)
	}
	e.wantHolders(volume, 0)
	e.wantMounts(0)
}

// Prometheus sees every request of the kernel and every mount.
func TestEngineMetrics(t *testing.T) {
	t.Parallel()
	e := newEngine(t, objstoretest.MinIO(t), "metrics")
	volume := e.create("v", "bucket=metrics")
	label := `,volume="` + volume + `"}`
	if got := e.metric("objvol_mounts"); got != 0 {
		t.Errorf("%v mounts before the first", got)
	}

	container := e.background(volume)
	if got := e.metric("objvol_mounts"); got != 1 {
		t.Errorf("%v mounts of one", got)
	}
	if got := e.metric(`objvol_volume_references{volume="` + volume + `"}`); got != 1 {
		t.Errorf("%v references of one", got)
	}
	for _, op := range []string{"read", "write", "fsync", "open", "close"} {
		if got := e.metric(`objvol_io_duration_seconds_count{op="` + op + `"` + label); got != 0 && op != "open" && op != "close" {
			t.Errorf("%v of %s before the first", got, op)
		}
	}
	e.exec(container, "dd if=/dev/zero of=/data/page bs=4096 count=1 conv=fsync 2>/dev/null")
	for series, want := range map[string]float64{
		`objvol_io_duration_seconds_count{op="write"` + label: 1,
		`objvol_io_duration_seconds_count{op="fsync"` + label: 1,
		`objvol_io_bytes_total{op="write"` + label:            4096,
	} {
		if got := e.metric(series); got != want {
			t.Errorf("%s %v, want %v", series, got, want)
		}
	}
	if got := e.metric(`objvol_s3_request_duration_seconds_count{op="put"` + label); got < 1 {
		t.Errorf("an fsync returned after %v puts", got)
	}
	e.stop(container)
	if got := e.metric("objvol_mounts"); got != 0 {
		t.Errorf("%v mounts after the last", got)
	}

	// A mount of its own has nothing in the kernel's page cache.
	if got := e.run(volume, "wc -c </data/page"); strings.TrimSpace(got) != "4096" {
		t.Errorf("read %s bytes", got)
	}
	if got := e.metric(`objvol_io_duration_seconds_count{op="read"` + label); got < 1 {
		t.Errorf("%v reads", got)
	}
	if got := e.metric(`objvol_io_bytes_total{op="read"` + label); got != 4096 {
		t.Errorf("%v bytes read, want 4096", got)
	}
	for _, method := range []string{"mount", "unmount"} {
		if got := e.metric(`objvol_call_duration_seconds_count{method="` + method + `"` + label); got != 2 {
			t.Errorf("%v calls of %s, want 2", got, method)
		}
	}
}

// What was acknowledged survives the driver; what holds the dead mount can be removed.
func TestEngineDriverKilled(t *testing.T) {
	t.Parallel()
	server := objstoretest.MinIO(t)
	e := newEngine(t, server, "killed")
	volume := e.create("v", "bucket=killed", "prefix=v")
	old := e.background(volume)
	e.exec(old, "i=0; while [ $i -lt 50 ]; do echo $i >/data/$i; i=$((i+1)); done; mv /data/0 /data/zero; rm /data/1")
	if code := e.driver.end(t, syscall.SIGKILL); code != -1 {
		t.Fatalf("the driver ended with exit code %d", code)
	}

	e.startDriver()
	eventually(t, "the volume is mounted again", func() bool { return e.status(volume).State == "mounted" })
	e.wantHolders(volume, 1)
	if got := e.run(volume, "echo new >/data/new; cat /data/zero /data/2 /data/49; ls /data | wc -l"); !regexp.MustCompile(`^0\n2\n49\n\s*50$`).MatchString(got) {
		t.Errorf("a new container reads %q", got)
	}
	// The old container has the dead mount: a new one cannot get into it.
	if message := e.refused("exec", old, "busybox", "cat", "/data/2"); !strings.Contains(message, "not connected") {
		t.Errorf("the old container: %s", message)
	}
	e.wantMounts(1)
	e.stop(old)
	e.wantMounts(0)
	e.wantHolders(volume, 0)
	wantObject(t, server, "killed/v/zero", []byte("0\n"))
	wantObject(t, server, "killed/v/new", []byte("new\n"))
	wantNoObject(t, server, "killed/v/1")
}
