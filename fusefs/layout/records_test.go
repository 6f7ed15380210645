package layout

import (
	"strings"
	"testing"

	"objvol/objstore"
)

func TestRecords(t *testing.T) {
	r := newLayout(t, "a/b c").Records()
	for got, want := range map[string]string{
		r.Prefix():       ".objvol/volumes/a%~2Fb c/",
		r.VolumeRecord(): ".objvol/volumes/a%~2Fb c/volume.json",
		r.Lease():        ".objvol/volumes/a%~2Fb c/lease",
		r.Link("a-1"):    ".objvol/volumes/a%~2Fb c/links/a-1",
		r.Moving(7):      ".objvol/volumes/a%~2Fb c/moving/7",
		r.Orphan(8):      ".objvol/volumes/a%~2Fb c/orphans/8",
		r.Probe():        ".objvol/volumes/a%~2Fb c/probe/",
	} {
		if got != want {
			t.Errorf("record %q, want %q", got, want)
		}
	}
	if !strings.HasPrefix(r.Moving(1), r.MovingPrefix()) || !strings.HasPrefix(r.Orphan(1), r.OrphanPrefix()) {
		t.Error("a prefix to sweep does not cover its records")
	}
}

// TestRecordsApart: different volumes have different records, one inside the other never.
func TestRecordsApart(t *testing.T) {
	long := strings.Repeat("n", MaxDirName)
	seen := make(map[string]string)
	for _, prefix := range []string{"", "a", "a/b", "a%~25~2Fb", "%~25~2F", "%", long, long[1:] + "/a", long[1:] + "/b", long + "/a"} {
		base := newLayout(t, prefix).Records().Prefix()
		if other, ok := seen[base]; ok {
			t.Errorf("%q and %q share the records %q", prefix, other, base)
		}
		seen[base] = prefix
		component := strings.TrimSuffix(strings.TrimPrefix(base, VolumesPrefix), "/")
		if strings.Contains(component, "/") || len(component) > MaxDirName {
			t.Errorf("the records of %q lie at %q", prefix, base)
		}
		if key := newLayout(t, prefix).Records().Orphan(1<<64 - 1); len(key) > objstore.MaxKeyLength {
			t.Errorf("record with a key of %d bytes", len(key))
		}
	}
}

// TestRecordsOutside: no path of any volume reaches a record.
func TestRecordsOutside(t *testing.T) {
	for _, prefix := range []string{"", "a"} {
		l := newLayout(t, prefix)
		if path, _, hidden := l.Path(l.Records().Lease()); hidden == Shown {
			t.Errorf("prefix %q shows the lease as %q", prefix, path)
		}
	}
}

func TestGroupOfLinkRecord(t *testing.T) {
	r := newLayout(t, "v").Records()
	if got, ok := r.Group(r.Link("g_7")); got != "g_7" || !ok {
		t.Errorf("group %q, %v", got, ok)
	}
	for _, key := range []string{r.Link(""), r.Link("a/b"), r.Moving(1), "v/links/g", r.Link("..")} {
		if got, ok := r.Group(key); ok {
			t.Errorf("%q is the record of %q", key, got)
		}
	}
}
