package metrics

import (
	"bytes"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"objvol/objstore"
)

var _ objstore.Observer = (*Volume)(nil)

var update = flag.Bool("update", false, "write the golden files")

// scrape returns what Prometheus is told, without the Go runtime and the process.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	var ours strings.Builder
	for line := range strings.Lines(answer.Body.String()) {
		if strings.Contains(line, "objvol_") {
			ours.WriteString(line)
		}
	}
	return strings.ReplaceAll(ours.String(), runtime.Version(), "GOVERSION")
}

// want fails unless every line is in the scrape.
func want(t *testing.T, m *Metrics, lines ...string) {
	t.Helper()
	text := scrape(t, m)
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in the scrape", line)
		}
	}
}

// busy returns metrics in which everything happened at least once.
func busy() *Metrics {
	m := New("v1.2.3")
	m.Add("idle")
	m.Call("Activate", "", 50*time.Microsecond, nil)
	m.Call("Create", "data", 2*time.Millisecond, nil)
	m.Call("Mount", "data", 40*time.Millisecond, nil)
	m.Call("Mount", "data", 25*time.Second, errors.New("deadline"))
	m.Call("Get", "no-such-volume", time.Millisecond, errors.New("no such volume"))
	m.Call("New-in-protocol-2", "data", time.Millisecond, nil)

	m.Disk("write", 2*time.Millisecond)
	m.Disk("read", 200*time.Microsecond)

	v := m.Volume("data")
	v.SetSource(func() State {
		return State{
			Mounted: true, References: 2, Failing: true,
			DirtyBytes: 4096, DirtyFiles: 1, DirtyAge: 2.5, QueueLength: 3, WriteLimit: 32,
			CacheBytes: 1 << 20, CacheHits: 7, CacheMisses: 2, Conflicts: 1, Ahead: 9, AheadBytes: 90, Wasted: 3, WastedBytes: 30,
			OpensPassed: 5, OpensMediated: 6, OpensRefused: 1, PassedSeconds: 12.5, PassedChanges: 4, PassedBytes: 8192,
			Hidden: map[string]int64{"empty component": 3, "component . or ..": 0},
		}
	})
	v.Operation("create", 30*time.Microsecond, 0, false)
	v.Operation("open", 20*time.Microsecond, 0, false)
	v.Operation("read", 5*time.Microsecond, 4096, false)
	v.Operation("read", 40*time.Millisecond, 0, true)
	v.Operation("write", 15*time.Microsecond, 4096, false)
	v.Operation("fsync", 20*time.Millisecond, 0, false)
	v.Operation("flush", 20*time.Microsecond, 0, false)
	v.Operation("lookup", 8*time.Microsecond, 0, true)
	v.Operation("getattr", 2*time.Microsecond, 0, false)
	v.Operation("notify_reply", time.Microsecond, 0, false)
	v.Request("put", "ok", 20*time.Millisecond, 4096, 0)
	v.Request("get", "ok", 35*time.Millisecond, 0, 8192)
	v.Request("put", "unavailable", time.Second, 100, 0)
	v.Retry("put")
	v.Request("restore", "bewildered", time.Millisecond, 0, 0)
	return m
}

func TestScrape(t *testing.T) {
	got := scrape(t, busy())
	golden := filepath.Join("testdata", "scrape.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(wanted) {
		return
	}
	gotLines, wantedLines := strings.Split(got, "\n"), strings.Split(string(wanted), "\n")
	for i := range min(len(gotLines), len(wantedLines)) {
		if gotLines[i] != wantedLines[i] {
			t.Fatalf("line %d of the scrape:\n  is     %s\n  wanted %s", i+1, gotLines[i], wantedLines[i])
		}
	}
	t.Fatalf("the scrape has %d lines, wanted %d", len(gotLines), len(wantedLines))
}

func TestNamesFollowThePractice(t *testing.T) {
	problems, err := testutil.GatherAndLint(busy().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNothingHappenedIsZero(t *testing.T) {
	m := New("test")
	m.Volume("data")
	want(
		t, m,
		`objvol_mounts 0`,
		`objvol_volume_mounted{volume="data"} 0`,
		`objvol_volume_references{volume="data"} 0`,
		`objvol_call_duration_seconds_count{method="mount",volume="data"} 0`,
		`objvol_call_errors_total{method="unmount",volume="data"} 0`,
		`objvol_call_duration_seconds_count{method="list",volume=""} 0`,
		`objvol_io_duration_seconds_count{op="read",volume="data"} 0`,
		`objvol_io_duration_seconds_count{op="write",volume="data"} 0`,
		`objvol_io_duration_seconds_count{op="fsync",volume="data"} 0`,
		`objvol_io_duration_seconds_count{op="open",volume="data"} 0`,
		`objvol_io_duration_seconds_count{op="close",volume="data"} 0`,
		`objvol_io_bytes_total{op="read",volume="data"} 0`,
		`objvol_io_bytes_total{op="write",volume="data"} 0`,
		`objvol_fuse_operations_total{op="rename",volume="data"} 0`,
		`objvol_s3_request_duration_seconds_count{op="put",volume="data"} 0`,
		`objvol_s3_request_errors_total{op="put",outcome="precondition",volume="data"} 0`,
		`objvol_s3_bytes_total{direction="sent",volume="data"} 0`,
		`objvol_dirty_bytes{volume="data"} 0`,
	)
}

// A host may know many volumes that it never mounts.
func TestKnownVolumeIsSmall(t *testing.T) {
	m := New("test")
	m.Add("idle")
	if text := scrape(t, m); strings.Contains(text, `objvol_io_duration_seconds_count{op="read",volume="idle"}`) {
		t.Error("a volume has I/O series before its first mount")
	}
	want(
		t, m,
		`objvol_volume_mounted{volume="idle"} 0`,
		`objvol_call_errors_total{method="mount",volume="idle"} 0`,
	)
}

func TestMountsFollowTheSources(t *testing.T) {
	m := New("test")
	mounted := map[string]bool{}
	for _, name := range []string{"a", "b"} {
		m.Volume(name).SetSource(func() State { return State{Mounted: mounted[name]} })
	}
	want(t, m, `objvol_mounts 0`)
	mounted["a"], mounted["b"] = true, true
	want(t, m, `objvol_mounts 2`, `objvol_volume_mounted{volume="a"} 1`)
	mounted["a"] = false
	want(t, m, `objvol_mounts 1`, `objvol_volume_mounted{volume="a"} 0`)
	m.Volume("b").SetSource(nil)
	want(t, m, `objvol_mounts 0`, `objvol_volume_mounted{volume="b"} 0`)
}

func TestCallCreatesItsVolume(t *testing.T) {
	m := New("test")
	m.Call("Create", "refused", time.Millisecond, errors.New("no such bucket"))
	m.Call("Create", "data", time.Millisecond, nil)
	m.Call("Create", "", time.Millisecond, nil)
	text := scrape(t, m)
	for _, none := range []string{"refused", `objvol_volume_mounted{volume=""}`} {
		if strings.Contains(text, none) {
			t.Errorf("what is no volume has series: %s", none)
		}
	}
	want(
		t, m,
		`objvol_call_duration_seconds_count{method="create",volume="data"} 1`,
		`objvol_call_duration_seconds_count{method="create",volume=""} 2`,
		`objvol_call_errors_total{method="create",volume=""} 1`,
		`objvol_volume_mounted{volume="data"} 0`,
	)
}

func TestForgetLeavesNothing(t *testing.T) {
	m := busy()
	v := m.Volume("data")
	m.Forget("data")
	m.Forget("data")
	v.Operation("read", time.Millisecond, 1, false)
	v.Request("put", "ok", time.Millisecond, 1, 0)
	m.Call("Remove", "data", time.Millisecond, nil)
	if text := scrape(t, m); strings.Contains(text, `volume="data"`) {
		t.Error("series of a forgotten volume are left")
	}
	want(
		t, m,
		`objvol_mounts 0`,
		`objvol_call_duration_seconds_count{method="remove",volume=""} 1`,
		`objvol_volume_mounted{volume="idle"} 0`,
	)

	// The next volume of that name begins at zero.
	if m.Volume("data") == v {
		t.Error("a new volume has the observers of the forgotten one")
	}
	want(t, m, `objvol_io_duration_seconds_count{op="read",volume="data"} 0`)
}

// The store's names and ours are the same sets: a name that is missing here would be
// counted as something else.
func TestNamesOfRequests(t *testing.T) {
	m := New("test")
	v := m.Volume("data")
	for _, op := range objstore.Ops {
		for _, outcome := range objstore.Outcomes {
			v.Request(op, outcome, time.Millisecond, 0, 0)
		}
		v.Retry(op)
	}
	want(
		t, m,
		`objvol_s3_request_duration_seconds_count{op="other",volume="data"} 0`,
		`objvol_s3_request_retries_total{op="other",volume="data"} 0`,
	)
	for _, op := range objstore.Ops {
		for _, outcome := range objstore.Outcomes {
			if outcome != okOutcome {
				want(t, m, `objvol_s3_request_errors_total{op="`+op+`",outcome="`+outcome+`",volume="data"} 1`)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	m := New("test")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				m.Call("Create", "data", time.Microsecond, nil)
				v := m.Volume("data")
				v.SetSource(func() State { return State{Mounted: true} })
				v.Operation("read", time.Microsecond, 1, false)
				v.Request("get", "ok", time.Microsecond, 0, 1)
				v.Retry("get")
				m.Forget("data")
			}
		})
		wg.Go(func() {
			for range 5 {
				answer := httptest.NewRecorder()
				m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
				if answer.Code != 200 || !bytes.Contains(answer.Body.Bytes(), []byte("objvol_mounts")) {
					t.Errorf("status %d: %s", answer.Code, answer.Body)
				}
			}
		})
	}
	wg.Wait()
}

func TestObservationsAllocateNothing(t *testing.T) {
	v := New("test").Volume("data")
	allocs := testing.AllocsPerRun(100, func() {
		v.Operation("read", 10*time.Microsecond, 4096, false)
		v.Operation("lookup", 10*time.Microsecond, 0, true)
		v.Request("get", "not_found", time.Millisecond, 0, 4096)
		v.Retry("get")
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkOperation is what counting costs every operation, from all processors at once.
func BenchmarkOperation(b *testing.B) {
	v := New("test").Volume("data")
	for _, op := range []string{"read", "lookup"} {
		b.Run(op, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					v.Operation(op, 30*time.Microsecond, 4096, false)
				}
			})
		})
	}
}

// BenchmarkRequest is what counting costs every request to the store.
func BenchmarkRequest(b *testing.B) {
	v := New("test").Volume("data")
	b.ReportAllocs()
	for b.Loop() {
		v.Request("get", "ok", 3*time.Millisecond, 0, 4096)
	}
}
