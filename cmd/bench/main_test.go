package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

func TestMain(m *testing.M) {
	if text, child := os.LookupEnv(envJob); child {
		beChild(text)
	}
	if text, child := os.LookupEnv(envFloor); child {
		beFloor(text)
	}
	dir, err := os.MkdirTemp("", "objvol-bench-test-")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "objvol")
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// built is where the program is that is measured, once a test has asked for it.
var built string

var build = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", built, "objvol/cmd/objvol").CombinedOutput()
})

// program builds the program that is measured.
func program(t *testing.T) string {
	t.Helper()
	if said, err := build(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return built
}

// tiny is all sizes so small that every row takes a moment.
var tiny = sizes{
	Large: 3 << 20, Changed: 3 << 20, Small: 20, Renamed: 20, Dirs: 3, PerDir: 5, Flat: 20,
	Archive: 50, Commits: 5, Reads: 10, Warm: 10, Writes: 10, Shaped: 2 << 20, Trios: 1,
}

// TestRows measures, on tiny sizes: work that is awaited in the bucket, work on a fixture,
// with the delay, and on a resident file.
func TestRows(t *testing.T) {
	mounttest.Require(t)
	s := objstoretest.MinIO(t)
	opts := options{
		program: program(t), dir: t.TempDir(), rounds: 1, sizes: tiny,
		rows: regexp.MustCompile(`^rm -rf of 1,000|^read 1 GiB|^find|^SQLite.*bucket|^20 ms: create .* 1 thread$|^random read 4 KiB, 1 thread$`),
	}
	var out, progress bytes.Buffer
	if err := measureOn(t.Context(), server{s}, opts, &out, &progress); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &progress, &out)
	}
	for _, name := range []string{
		"rm -rf of 1,000 files in a directory, returned", "rm -rf of 1,000 files in a directory, in the bucket",
		"read 1 GiB, cold", "read 1 GiB, warm",
		"20 ms: create 2,000 x 4 KiB, 1 thread, returned", "20 ms: create 2,000 x 4 KiB, 1 thread, in the bucket",
		"random read 4 KiB, 1 thread",
	} {
		if !strings.Contains(out.String(), "| "+name+" |") {
			t.Errorf("no row %q in\n%s", name, &out)
		}
	}
	// Every side has a figure: the local directory, the floor, the client and the volume.
	for line := range strings.Lines(out.String()) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| read 1 GiB, cold |") && slices.Contains(cells[1:5], "–") {
			t.Errorf("a side is missing in %s", line)
		}
	}
	// What waits for the store has a bound, and all has its processors' time.
	_, rest, _ := strings.Cut(out.String(), "What a filesystem on this store has to have")
	bounds, times, _ := strings.Cut(rest, "Where the processors' time went")
	for _, name := range []string{
		"rm -rf of 1,000 files in a directory, in the bucket", "read 1 GiB, cold", "SQLite, 500 transactions, sync=bucket",
		"find -printf over 10,000 in 100 directories, cold", "20 ms: create 2,000 x 4 KiB, 1 thread, in the bucket",
	} {
		if !strings.Contains(bounds, "| "+name+" |") || !strings.Contains(times, "| "+name+" |") {
			t.Errorf("no bound or no time of %q in\n%s", name, rest)
		}
	}
	if strings.Contains(bounds, "NaN") || strings.Contains(bounds, "Inf") || strings.Contains(bounds, "returned") {
		t.Errorf("bounds are\n%s", bounds)
	}
	// Nothing stays behind.
	left, err := os.ReadDir(opts.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// TestFailureIsTold has a program that mounts nothing.
func TestFailureIsTold(t *testing.T) {
	mounttest.Require(t)
	s := objstoretest.MinIO(t)
	opts := options{
		program: "/bin/false", dir: t.TempDir(), rounds: 1, sizes: tiny,
		rows: regexp.MustCompile(`^create 2,000 x 4 KiB, 1 thread$`),
	}
	var out, progress bytes.Buffer
	err := measureOn(t.Context(), server{s}, opts, &out, &progress)
	if err == nil || !strings.Contains(out.String(), "create 2,000 x 4 KiB, 1 thread, objvol, round 1:") {
		t.Fatalf("%v\n%s", err, &out)
	}
	logs, err := filepath.Glob(filepath.Join(opts.dir, "objvol-bench-logs-*", "objvol-*.log"))
	if err != nil || len(logs) != 1 {
		t.Errorf("logs %v (%v)", logs, err)
	}
}

// besides makes a directory that is no prefix of the bucket a peer: its program mounts, and
// what is done there never arrives. The program is that of the floor, behind a shell.
func besides(t *testing.T, name, script string) filesystem {
	t.Helper()
	dir := t.TempDir()
	return filesystem{name: name, peer: true, command: func(m mountpoint) (*exec.Cmd, error) {
		text, err := json.Marshal(base{Dir: m.dir, Source: dir})
		cmd := exec.Command("sh", "-c", script, "sh", "/proc/"+strconv.Itoa(os.Getpid())+"/exe")
		cmd.Env = []string{envFloor + "=" + string(text)}
		return cmd, err
	}}
}

// TestPeersAreBounded: what a peer cannot do, or not in its time, is told in its cells. It
// neither ends the run nor is an error of it, and nothing of the peer stays.
func TestPeersAreBounded(t *testing.T) {
	mounttest.Require(t)
	s := objstoretest.MinIO(t)
	limit := peerLimit
	peerLimit = 2 * time.Second
	t.Cleanup(func() { peerLimit = limit })
	pids := filepath.Join(t.TempDir(), "pids")
	opts := options{
		program: program(t), dir: t.TempDir(), rounds: 2, sizes: tiny,
		rows: regexp.MustCompile(`^rm -rf of 1,000|^SQLite, 500 transactions, sync=local|^create 2,000 x 4 KiB, 1 thread$`),
		peers: []filesystem{
			{name: "none", peer: true, command: func(mountpoint) (*exec.Cmd, error) { return exec.Command("sh", "-c", "echo no such thing; false"), nil }},
			// The shell ends before what it started.
			besides(t, "slow", `sleep 1000 & echo $! >>`+pids+`; "$1"`),
		},
	}
	var out, progress bytes.Buffer
	if err := measureOn(t.Context(), server{s}, opts, &out, &progress); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &progress, &out)
	}
	for line, want := range map[string][]string{
		"create 2,000 x 4 KiB, 1 thread, in the bucket":  {"failed", "over 2"},
		"rm -rf of 1,000 files in a directory, returned": {"failed", "not reached"},
		"SQLite, 500 transactions, sync=local":           {"–", "–"},
	} {
		_, rest, _ := strings.Cut(out.String(), "| "+line+" | ")
		cells := strings.Split(rest, " | ")
		if len(cells) < 6 || !slices.Equal(cells[4:6], want) {
			t.Errorf("%s: %q, want %q", line, cells[min(4, len(cells)):min(6, len(cells))], want)
		}
	}
	if !strings.Contains(out.String(), "no such thing") || strings.Contains(out.String(), ", slow, round") {
		t.Errorf("what failed is\n%s", &out)
	}
	if n := strings.Count(progress.String(), ": slow: "); n != 2 {
		t.Errorf("the slow one was measured %d times, want once for each of two rows\n%s", n, &progress)
	}
	left, err := os.ReadDir(opts.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
	started, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.Lines(string(started)) {
		wantNoSleeper(t, pid)
	}
}

// TestTimeForPeer: peers wait until what is always measured is safe.
func TestTimeForPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bench{rows: 10, done: 1, own: 20 * time.Second}
		if !b.timeForPeer() {
			t.Error("no time, though it has no end")
		}
		needed := 8*10*time.Second + peerLimit // eight rows, as long as these two were
		b.end = time.Now().Add(needed + time.Second)
		if !b.timeForPeer() {
			t.Error("no time, though all have theirs")
		}
		time.Sleep(time.Second)
		if b.timeForPeer() {
			t.Error("there is time, though a row would have none")
		}
	})
}

// TestEveryWorkIsThere keeps the rows and the works together.
func TestEveryWorkIsThere(t *testing.T) {
	t.Parallel()
	var named []string
	for _, r := range slices.Concat(nearRows, farRows) {
		if r.fixture != "" {
			named = append(named, r.fixture, "client "+r.fixture)
		}
		for _, p := range r.phases {
			named = append(named, p.work)
			for _, w := range []string{p.client, p.best.work} {
				if w != "" {
					named = append(named, w)
				}
			}
		}
	}
	for _, name := range named {
		if works[name] == nil {
			t.Errorf("no work %q", name)
		}
	}
	for name := range works {
		if others := []string{"manifest", "forget", "make resident", "resident"}; !slices.Contains(named, name) && !slices.Contains(others, name) {
			t.Errorf("nobody does %q", name)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	opts, err := parseFlags([]string{"-rows", "^write", "-rounds", "2"})
	if err != nil {
		t.Fatal(err)
	}
	near, far, resident := opts.selected()
	if len(near) != 1 || len(far) != 0 || len(resident) != 0 || opts.rounds != 2 {
		t.Errorf("%d, %d and %d rows, %d rounds", len(near), len(far), len(resident), opts.rounds)
	}
	quick, _, _ := options{rows: regexp.MustCompile("")}.selected()
	all, _, _ := options{rows: regexp.MustCompile(""), full: true}.selected()
	if len(all) != len(nearRows) || len(quick) >= len(all) {
		t.Errorf("%d of %d rows are quick", len(quick), len(all))
	}
	for _, args := range [][]string{{"-rows", "("}, {"-rounds", "0"}, {"-none"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}
