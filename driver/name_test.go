package driver

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{
		"data":        "data",
		"proj_db-1.x": "proj_db-1.x",
		".":           "%2E",
		"..":          "%2E.",
		".objvol":     "%2Eobjvol",
		"../../x":     "%2E.%2F..%2Fx",
		"a/b":         "a%2Fb",
		"a%2Fb":       "a%252Fb",
		"a b\n":       "a%20b%0A",
		"größe":       "größe",
		"卷":           "卷",
		"\u0085":      "%C2%85",
		"\xff":        "%FF",
		"\ufffd":      "\ufffd",
		"c:\\x":       "c%3A%5Cx",
	} {
		if got := escapeName(name); got != want {
			t.Errorf("escapeName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestValidateName(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "empty",
		"/data":                  "begins with a slash",
		"a\x00b":                 "NUL",
		strings.Repeat("x", 256): "256 bytes as a directory name, at most 255",
		strings.Repeat("x", 300): "too long",
		strings.Repeat("/", 90)[:1] + strings.Repeat("é", 200): "begins with a slash",
		"a" + strings.Repeat("/", 85):                          "256 bytes",
	} {
		wantErr(t, validateName(name), want)
	}
	for _, name := range []string{"../../x", ".", "..", "a/b", "x", strings.Repeat("x", 255), strings.Repeat("é", 127)} {
		if err := validateName(name); err != nil {
			t.Errorf("validateName(%q): %v", name, err)
		}
	}
}

// FuzzEscapeName shows that the spelling is one component and can be read back, so that no
// two names share one.
func FuzzEscapeName(f *testing.F) {
	for _, seed := range []string{"data", "../../x", ".", "..", "a/b", "%2E", "é\xff", "\u0085"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := escapeName(name)
		if back, err := url.PathUnescape(got); err != nil || back != name {
			t.Fatalf("%q became %q, which reads %q, %v", name, got, back, err)
		}
		if name != "" && (filepath.Base(got) != got || got == "." || got == ".." || strings.ContainsAny(got, "/\x00")) {
			t.Fatalf("%q became %q, which is no single component", name, got)
		}
	})
}

func TestAnonymous(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for name, want := range map[string]bool{
		hex: true, hex[1:]: false, strings.ToUpper(hex): false, "data": false, hex[:63] + "g": false,
	} {
		if anonymous(name) != want {
			t.Errorf("anonymous(%q) = %v", name, !want)
		}
	}
}
