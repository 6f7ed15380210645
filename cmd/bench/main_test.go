package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

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
	os.Exit(m.Run())
}

// program builds the program that is measured.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "objvol")
	cmd := exec.Command("go", "build", "-o", path, "objvol/cmd/objvol")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
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
		rows: regexp.MustCompile(`^rm -rf of 1,000|^read 1 GiB|^20 ms: create .* 1 thread$|^random read 4 KiB, 1 thread$`),
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
			if p.client != "" {
				named = append(named, p.client)
			}
		}
	}
	for _, name := range named {
		if works[name] == nil {
			t.Errorf("no work %q", name)
		}
	}
	for name := range works {
		if others := []string{"manifest", "forget", "copy", "make resident", "resident"}; !slices.Contains(named, name) && !slices.Contains(others, name) {
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
