package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// envCompare is the number of rounds of TestComparison, which is not run without it.
const envCompare = "OBJVOL_COMPARE"

// TestComparison measures the same work in a local directory, with a client of the store
// and on a volume, and prints the medians of all rounds. It is what make bench runs. The
// directory, the store's data and the volume's state lie on the same disk; the store is
// a MinIO on this machine.
func TestComparison(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(envCompare))
	if err != nil {
		t.Skip("a comparison takes minutes; run it with: make bench")
	}
	s := objstoretest.MinIO(t)
	bucket := openBench(t, s)
	archive := filepath.Join(t.TempDir(), "files.tar")
	writeArchive(t, archive)
	var results comparison
	for round := range rounds {
		compareLocal(t, &results, archive)
		compareClient(t, &results, bucket, fmt.Sprintf("client-%d/", round))
		compareVolume(t, &results, s, bucket, fmt.Sprintf("volume-%d", round), archive)
		t.Logf("round %d of %d is done", round+1, rounds)
	}
	fmt.Printf("\nSeconds, medians of %d rounds, and how many times as long objvol takes.\n\n%s\n%s", rounds, results.table(), comparisonNotes)
}

const comparisonNotes = `"in the bucket" is when the unmount has returned; for the local directory, when all is
on the disk. "cold" is a mount without any local state; for the local directory, files
whose content has left the page cache, while names and attributes stay in memory. The
client sends a large object in four parts at a time, rewrites a whole object for a small
change, and asks the store each time.
`

// compareLocal does the work in a directory.
func compareLocal(t *testing.T, results *comparison, archive string) {
	t.Helper()
	dir := t.TempDir()
	flush := func() { syncDir(t, dir) }
	for _, w := range writes {
		compareWrite(t, results, sideLocal, w, dir, archive, flush)
	}
	for _, w := range reads {
		if w.cold {
			forget(t, dir)
		}
		results.add(w.row, sideLocal, work(t, dir, w.name, archive))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// compareVolume does it on a volume. What was written is in the bucket when the volume
// is unmounted, so that each write has a mount of its own. The reads have one that knows
// nothing yet.
func compareVolume(t *testing.T, results *comparison, s objstoretest.Server, bucket benchBucket, name, archive string) {
	t.Helper()
	dir := mounttest.Dir(t)
	leaveNothing(t, dir)
	mount := func(state string) (unmount func()) {
		p := startMount(t, s, state, "s3://"+benchName+"/"+name, dir)
		return func() {
			results.peak = append(results.peak, peakRSS(t, p.cmd.Process.Pid))
			if code := p.end(t, syscall.SIGTERM); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
		}
	}
	state := t.TempDir()
	for _, w := range writes {
		compareWrite(t, results, sideVolume, w, dir, archive, mount(state))
		if n := bucket.count(t, name+"/"+w.dir+"/"); n != w.files {
			t.Fatalf("%s: %d files in the bucket, want %d", w.name, n, w.files)
		}
	}
	unmount := mount(t.TempDir())
	for _, r := range reads {
		results.add(r.row, sideVolume, work(t, dir, r.name, archive))
	}
	unmount()
}

// compareWrite measures until the work returns, and until flush does.
func compareWrite(t *testing.T, results *comparison, on side, w write, dir, archive string, flush func()) {
	t.Helper()
	took := work(t, dir, w.name, archive)
	begun := time.Now()
	flush()
	results.addWrite(w, on, took, took+time.Since(begun))
}
