package main

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

const (
	manyFiles     = 10_000 / mounttest.Slower
	manySize      = 4 << 10
	listedObjects = 20_000
	hugeSize      = 11 << 29 // more than one request, or one part, can carry
	hugeNeeds     = 30 << 30 // bytes of free disk: the file, its objects and its parts
	mostMemory    = 300 << 20
	levels        = 30
)

// manyName spreads small files over a hundred directories.
func manyName(i int) string { return fmt.Sprintf("small/%02d/%04d", i%100, i) }

// manyContent differs from file to file in every block.
func manyContent(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%015d\n", i), manySize/16) }

// eachOfMany runs work for every small file, a few at once.
func eachOfMany(work func(i int) error) error {
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < manyFiles && errs[w] == nil; i += workers {
				errs[w] = work(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeMany(dir string) error {
	for i := range 100 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("small/%02d", i)), 0o755); err != nil {
			return err
		}
	}
	return eachOfMany(func(i int) error {
		return os.WriteFile(filepath.Join(dir, manyName(i)), manyContent(i), 0o644)
	})
}

func checkMany(dir string) error {
	return eachOfMany(func(i int) error {
		got, err := os.ReadFile(filepath.Join(dir, manyName(i)))
		if err == nil && !bytes.Equal(got, manyContent(i)) {
			err = fmt.Errorf("%s differs", manyName(i))
		}
		return err
	})
}

// memory is the most a driver had resident so far, in bytes.
func (d served) memory() int {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	kib, err := strconv.Atoi(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(status))[1])
	if err != nil {
		d.t.Fatal(err)
	}
	return kib << 10
}

// wantMemory fails the test if a driver had more resident than it may. The race detector's
// own memory is none of the driver's.
func (d served) wantMemory() {
	d.t.Helper()
	got := d.memory()
	d.t.Logf("at most %d MiB were resident", got>>20)
	if got > mostMemory && !mounttest.RaceDetector {
		d.t.Errorf("%d MiB were resident, at most %d should be", got>>20, mostMemory>>20)
	}
}

// Ten thousand small files, or as many as take as long, are all in the bucket at the Unmount, and come back from it.
func TestManySmallFiles(t *testing.T) {
	t.Parallel()
	s := objstoretest.MinIO(t)
	state := filepath.Join(t.TempDir(), "state")
	at := filepath.Join(state, "mnt", "vol")
	for i, name := range []string{"write many", "check many"} {
		if i > 0 {
			if err := os.RemoveAll(state); err != nil {
				t.Fatal(err)
			}
		}
		leaveNothing(t, at)
		d := startServe(t, s, state, "--log-level", "info")
		d.must("VolumeDriver.Create", `{"Name":"vol"}`)
		d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
		mounttest.Run(t, at, name)
		d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
		d.wantMemory()
		if code := d.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
	wantManyObjects(t, s, "objvol/vol/")
}

// wantManyObjects compares the objects with the small files, as curl has them.
func wantManyObjects(t *testing.T, s objstoretest.Server, prefix string) {
	t.Helper()
	dir := t.TempDir()
	var config strings.Builder
	for i := range manyFiles {
		fmt.Fprintf(&config, "url = %q\noutput = %q\n", s.Endpoint+"/"+prefix+manyName(i), filepath.Join(dir, strconv.Itoa(i)))
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t.Context(), "curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-max", "8",
		"--user", s.AccessKey+":"+s.SecretKey, "--aws-sigv4", "aws:amz:us-east-1:s3", "--config", file); err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	for i := range manyFiles {
		if got, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i))); err != nil || !bytes.Equal(got, manyContent(i)) {
			t.Fatalf("%s: %d bytes, %v", manyName(i), len(got), err)
		}
	}
}

// A directory of twenty thousand objects is listed whole.
func TestLargeDirectory(t *testing.T) {
	t.Parallel()
	s := objstoretest.MinIO(t)
	put(t, s, "objvol", nil)
	dir := t.TempDir()
	body := filepath.Join(dir, "body")
	if err := os.WriteFile(body, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A few curls, each with its deadline, and not twenty thousand.
	for from := 0; from < listedObjects; from += 5000 {
		if out, err := command(t.Context(), "curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-max", "16",
			"--user", s.AccessKey+":"+s.SecretKey, "--aws-sigv4", "aws:amz:us-east-1:s3", "--output", "/dev/null",
			"--upload-file", body, fmt.Sprintf("%s/objvol/vol/dir/file-[%05d-%05d]", s.Endpoint, from, from+4999)); err != nil {
			t.Fatalf("%v: %.2000s", err, out)
		}
	}
	state := filepath.Join(t.TempDir(), "state")
	at := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, at)
	d := startServe(t, s, state, "--log-level", "info")
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "list large")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	d.wantMemory()
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func listLarge(dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, "dir"))
	if err != nil {
		return err
	}
	if len(entries) != listedObjects {
		return fmt.Errorf("%d names", len(entries))
	}
	for i, e := range entries { // sorted
		if want := fmt.Sprintf("file-%05d", i); e.Name() != want {
			return fmt.Errorf("name %d is %q", i, e.Name())
		}
		info, err := e.Info()
		if err != nil || info.Size() != 1 {
			return fmt.Errorf("%s: %v, %w", e.Name(), info, err)
		}
	}
	return nil
}

// The longest names of a file and of a directory, and a deep tree.
var (
	longFile = strings.Repeat("f", 255)
	longDir  = strings.Repeat("d", 255) // its marker is too long for MinIO's disk
	deep     = strings.Repeat("level/", levels)
)

func writeLong(dir string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(dir, longFile), []byte("long"), 0o600),
		os.Mkdir(filepath.Join(dir, longDir), 0o700),
		os.WriteFile(filepath.Join(dir, longDir, longFile), []byte("both"), 0o600),
		os.MkdirAll(filepath.Join(dir, deep), 0o700),
		os.WriteFile(filepath.Join(dir, deep, "file"), []byte("deep"), 0o600),
		tooLong(os.WriteFile(filepath.Join(dir, longFile+"x"), nil, 0o600)),
		tooLong(os.Mkdir(filepath.Join(dir, longDir+"x"), 0o700)))
}

func tooLong(err error) error {
	if !errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("a name that is too long: %w", err)
	}
	return nil
}

func checkLong(dir string) error {
	return errors.Join(
		wantContent(filepath.Join(dir, longFile), "long"),
		wantContent(filepath.Join(dir, longDir, longFile), "both"),
		wantContent(filepath.Join(dir, deep, "file"), "deep"))
}

func TestLongNames(t *testing.T) {
	s := objstoretest.MinIO(t)
	spec := specOn(t, s, "vol", nil)
	withObjvol(t, t.TempDir(), spec, "write long", "check long")
	withObjvol(t, t.TempDir(), spec, "check long")
	wantObject(t, s, "objvol/vol/"+longFile, []byte("long"))
	wantObject(t, s, "objvol/vol/"+longDir+"/"+longFile, []byte("both"))
	wantObject(t, s, "objvol/vol/"+deep+"file", []byte("deep"))
}

// pattern is a stream of bytes that does not repeat.
type pattern struct{ *rand.ChaCha8 }

func newPattern(size int64) io.Reader {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], 4711)
	return io.LimitReader(pattern{rand.NewChaCha8(seed)}, size)
}

func writeHuge(dir string) (err error) { return writePattern(filepath.Join(dir, "new"), hugeSize) }

func writePattern(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, newPattern(size), make([]byte, 1<<20))
	return err
}

// syncHuge waits for the bucket: the last unmount would not wait long enough.
func syncHuge(dir string) error { return syncFile(filepath.Join(dir, "new")) }

func renameHuge(dir string) error {
	path := filepath.Join(dir, "huge")
	return errors.Join(os.Rename(filepath.Join(dir, "new"), path), syncFile(path))
}

// syncFile waits until a file is in the bucket, longer than one fsync does.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for range 4 {
		if err = f.Sync(); !errors.Is(err, syscall.ETIMEDOUT) {
			break
		}
	}
	return errors.Join(err, f.Close())
}

func checkHuge(dir string) error { return checkPattern(filepath.Join(dir, "huge"), hugeSize) }

func checkPattern(path string, size int64) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	got, err := sum(f)
	if want, _ := sum(newPattern(size)); err == nil && got != want {
		err = fmt.Errorf("%s has the sum %s, want %s", path, got, want)
	}
	return err
}

// overSize is more than fits into a state directory beside what stays free there, in bytes.
const overSize = 330 << 20

func writeOver(dir string) error { return writePattern(filepath.Join(dir, "over"), overSize) }

func checkOver(dir string) error { return checkPattern(filepath.Join(dir, "over"), overSize) }

// A file that is larger than the cache and the disk under it is written in one go, read by
// the same host, and by another one.
func TestFileLargerThanTheDisk(t *testing.T) {
	s := objstoretest.MinIO(t)
	for _, play := range []struct {
		state string
		names []string
	}{
		{filepath.Join(mounted(t, "tmpfs", "size=400m"), "state"), []string{"write over", "check over"}},
		{filepath.Join(t.TempDir(), "state"), []string{"check over"}},
	} {
		at := filepath.Join(play.state, "mnt", "vol")
		leaveNothing(t, at)
		d := startServe(t, s, play.state, "--log-level", "info")
		d.must("VolumeDriver.Create", `{"Name":"vol","Opts":{"cache-size":"64MiB"}}`)
		d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
		for _, name := range play.names {
			mounttest.Run(t, at, name)
		}
		d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
		d.wantMemory()
		if code := d.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

func sum(r io.Reader) (string, error) {
	h := md5.New()
	_, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return hex.EncodeToString(h.Sum(nil)), err
}

// A file of 5.5 GiB goes to the bucket, is renamed there, and comes back. OBJVOL_LARGE=1, as
// make large sets it, runs the test; it needs 30 GiB of disk.
func TestLargeFile(t *testing.T) {
	if os.Getenv("OBJVOL_LARGE") != "1" {
		t.Skip("OBJVOL_LARGE is not 1")
	}
	tmp := t.TempDir()
	var disk unix.Statfs_t
	if err := unix.Statfs(tmp, &disk); err != nil {
		t.Fatal(err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < hugeNeeds {
		t.Skipf("%d bytes of disk are free, %d are needed", free, hugeNeeds)
	}
	s := objstoretest.MinIO(t)
	state := filepath.Join(tmp, "state")
	at := filepath.Join(state, "mnt", "vol")
	for i, names := range [][]string{{"write huge", "sync huge", "rename huge"}, {"check huge"}} {
		if i > 0 {
			if err := os.RemoveAll(state); err != nil {
				t.Fatal(err)
			}
		}
		leaveNothing(t, at)
		d := startServe(t, s, state, "--log-level", "info")
		d.must("VolumeDriver.Create", `{"Name":"vol"}`)
		d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
		for _, name := range names {
			mounttest.Run(t, at, name)
		}
		d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
		d.wantMemory()
		if code := d.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
	out, err := command(t.Context(), "sh", "-c", `curl --silent --show-error --fail --user "$0" --aws-sigv4 aws:amz:us-east-1:s3 "$1" | md5sum`,
		s.AccessKey+":"+s.SecretKey, s.Endpoint+"/objvol/vol/huge")
	if want, _ := sum(newPattern(hugeSize)); err != nil || !strings.HasPrefix(out, want) {
		t.Errorf("curl reads the sum %s, %v", out, err)
	}
}
