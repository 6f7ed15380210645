package layout

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"objvol/objstore"
)

var (
	conflictTime = time.Date(2026, 11, 21, 9, 8, 7, 6_000_000, time.FixedZone("", 3600))
	conflictEnd  = ".conflict-host-20261121T080807.006Z"
)

func TestConflictName(t *testing.T) {
	l := newLayout(t, "v")
	conflictName := func(name, host string) string {
		t.Helper()
		got, err := l.ConflictPath(name, host, conflictTime)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	for name, want := range map[string]string{
		"a.txt":                    "a.txt" + conflictEnd,
		".hidden":                  ".hidden" + conflictEnd,
		"\xff":                     "\xff" + conflictEnd,
		strings.Repeat("n", 255):   strings.Repeat("n", 255-len(conflictEnd)) + conflictEnd,
		strings.Repeat("é", 127):   strings.Repeat("é", (255-len(conflictEnd))/2) + conflictEnd,
		strings.Repeat("\xff", 63): strings.Repeat("\xff", (255-len(conflictEnd))/4) + conflictEnd,
	} {
		got := conflictName(name, "host")
		if got != want {
			t.Errorf("conflictName(%q) = %q, want %q", name, got, want)
		}
		if len(Escape(got)) > MaxName || utf8.ValidString(name) != utf8.ValidString(got) {
			t.Errorf("conflictName(%q) = %q is not a name like it", name, got)
		}
	}
	if got := conflictName("a", "rack/7 ü.."); got != "a.conflict-rack-7--..-20261121T080807.006Z" {
		t.Errorf("with an odd host: %q", got)
	}
	if got := conflictName(strings.Repeat("n", 255), strings.Repeat("h", 300)); len(got) != MaxName {
		t.Errorf("with a long host: %d bytes", len(got))
	}
}

func TestConflictPath(t *testing.T) {
	l := newLayout(t, "v")
	for path, want := range map[string]string{"a": "a" + conflictEnd, "d/e/a": "d/e/a" + conflictEnd} {
		if got, err := l.ConflictPath(path, "host", conflictTime); got != want || err != nil {
			t.Errorf("ConflictPath(%q) = %q, %v, want %q", path, got, err, want)
		}
	}

	// A key that is full already: the name gives way.
	dir := strings.Repeat(strings.Repeat("d", 240)+"/", 4)
	name := strings.Repeat("n", objstore.MaxKeyLength-len("v/")-len(dir))
	got, err := l.ConflictPath(dir+name, "host", conflictTime)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := l.File(got); err != nil || len(key) != objstore.MaxKeyLength || !strings.HasSuffix(key, "n"+conflictEnd) {
		t.Errorf("the conflict's key has %d bytes: %v", len(key), err)
	}

	// A directory that leaves no room for the suffix: the conflict's key is in overflow
	// form, its name as long as it can be.
	for _, dir := range []string{dir + strings.Repeat("d", 40), strings.Repeat("\xff", 255), strings.Repeat("d/", 2000) + "d"} {
		got, err := l.ConflictPath(dir+"/"+strings.Repeat("n", 255), "host", conflictTime)
		if err != nil || got != dir+"/"+strings.Repeat("n", 255-len(conflictEnd))+conflictEnd {
			t.Errorf("without room: %.20q…, %v", got, err)
		}
		if key, err := l.File(got); err != nil || !l.IsLong(key) {
			t.Errorf("without room: key %.20q…, %v", key, err)
		}
	}
	if _, err := l.ConflictPath("../a", "host", conflictTime); !errors.Is(err, ErrInvalidPath) {
		t.Errorf("outside the volume: %v, want ErrInvalidPath", err)
	}
}
