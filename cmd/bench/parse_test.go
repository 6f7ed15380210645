package main

import (
	"math"
	"slices"
	"testing"
)

func TestReadTraffic(t *testing.T) {
	t.Parallel()
	got, err := readTraffic(`# HELP minio_api_requests_total Total number of requests
# TYPE minio_api_requests_total counter
minio_api_requests_total{name="GetObject",server="127.0.0.1:19123",type="s3"} 4
minio_api_requests_total{name="PutObject",server="127.0.0.1:19123",type="s3"} 3
minio_api_requests_inflight_total{name="PutObject",server="127.0.0.1:19123",type="s3"} 9
minio_api_requests_traffic_received_bytes{server="127.0.0.1:19123",type="s3"} 1.5e+03
minio_api_requests_traffic_sent_bytes{server="127.0.0.1:19123",type="s3"} 12
`)
	if want := (traffic{7, 1500, 12}); err != nil || got != want {
		t.Errorf("%+v, want %+v (%v)", got, want, err)
	}
	if _, err := readTraffic(`minio_api_requests_total{name="x"} many`); err == nil {
		t.Error("no error")
	}
}

func TestProcessNumbers(t *testing.T) {
	t.Parallel()
	peak, err := peakMemory([]byte("Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t   123 kB\nVmRSS:\t 100 kB\n"))
	if err != nil || peak != 123<<10 {
		t.Errorf("%d bytes (%v)", peak, err)
	}
	if _, err := peakMemory(nil); err == nil {
		t.Error("no error")
	}
}

func TestReadMachine(t *testing.T) {
	t.Parallel()
	got, err := readMachine([]byte("cpu  100 20 300 4000 500 6 7 80 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if want := (machine{Busy: 4.33, Idle: 45, Stolen: 0.8}); err != nil || math.Abs(got.Busy-want.Busy) > 1e-6 || got.Idle != want.Idle || got.Stolen != want.Stolen {
		t.Errorf("%+v, want %+v (%v)", got, want, err)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h"} {
		if _, err := readMachine([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestManifestDifferences(t *testing.T) {
	t.Parallel()
	want := manifest{"a": 1, "b": 2, "dir/": 0, "dir/c": 3}
	for _, c := range []struct {
		got     manifest
		markers bool
		names   []string
	}{
		{manifest{"a": 1, "b": 2, "dir/": 0, "dir/c": 3}, true, nil},
		{manifest{"a": 1, "b": 2, "dir/c": 3}, true, []string{"dir/"}},
		{manifest{"a": 1, "b": 2, "dir/c": 3}, false, nil},
		{manifest{"a": 1, "b": 3, "old/": 0}, false, []string{"b", "dir/c", "old/"}},
	} {
		if got := want.differences(c.got, c.markers); !slices.Equal(got, c.names) {
			t.Errorf("%v, markers %v: %v, want %v", c.got, c.markers, got, c.names)
		}
	}
}

// TestBefore has a name follow what a listing begins after.
func TestBefore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "dir/", "dir/file-00000", "x~", "b!"} {
		if after := before("p/", name); after >= "p/"+name || after <= "p/" {
			t.Errorf("%q is not before %q", after, "p/"+name)
		}
	}
	if after := before("p/", ""); after != "" {
		t.Errorf("all begins after %q", after)
	}
}

func TestStamps(t *testing.T) {
	t.Parallel()
	data := *largePart(partSize, 2*partSize)
	if err := checkStamps(data, partSize); err != nil {
		t.Error(err)
	}
	if checkStamps(data, 0) == nil {
		t.Error("a part elsewhere is not told apart")
	}
	s := &stamps{offset: partSize}
	for at := 0; at < len(data); at += 1000 {
		if _, err := s.Write(data[at:min(at+1000, len(data))]); err != nil {
			t.Fatal(err)
		}
	}
	if s.offset != 2*partSize {
		t.Errorf("%d bytes were seen", s.offset-partSize)
	}
}

func TestPlainEnvironment(t *testing.T) {
	t.Parallel()
	got := plain([]string{"PATH=/bin", "AWS_CA_BUNDLE=/ca.pem", "HOME=/", "OBJVOL_CACHE_SIZE=1"})
	if want := []string{"PATH=/bin", "HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
