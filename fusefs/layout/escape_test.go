package layout

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"a", "a"},
		{"naïve 100% + #? \\ ~.txt", "naïve 100% + #? \\ ~.txt"},
		{" a ", " a "},
		{"...", "..."},
		{".a", ".a"},
		{"a.", "a."},
		{"tab\tline\nreturn\r", "tab\tline\nreturn\r"},
		{"%", "%"},
		{"%41", "%41"},
		{"%~", "%~"},
		{"%~4", "%~4"},
		{"%~4g", "%~4g"},
		{"%~2e", "%~2e"},
		{"\U0010FFFF", "\U0010FFFF"},
		{"�", "�"},
		{"xl.meta", "xl.meta"},
		{"__XLDIR__a", "__XLDIR__a"},
		{"a.sgwtmp", "a.sgwtmp"},

		{"", ""},
		{".", "%~2E"},
		{"..", "%~2E."},
		{". ", "%~2E "},
		{"\t..\r", "\t%~2E.\r"},
		{`a\..\b`, `a\%~2E.\b`},
		{`\.`, `\%~2E`},
		{".\u00a0", "%~2E\u00a0"},
		{" ", "%~20"},
		{"\n\n", "%~0A\n"},
		{"\u00a0 ", "%~C2%~A0 "},
		{"\x00", "%~00"},
		{"a/b", "a%~2Fb"},
		{"a\x01b\x1f\x7f", "a%~01b%~1F\x7f"},
		{"\uffff\ufffe", "%~EF%~BF%~BF%~EF%~BF%~BE"},
		{"\xff", "%~FF"},
		{"a\xc3", "a%~C3"},
		{"\xed\xa0\x80", "%~ED%~A0%~80"},
		{"%~41", "%~25~41"},
		{"%~%~41", "%~%~25~41"},
		{"%~25", "%~25~25"},
		{"foo__XLDIR__", "foo__XLDIR_%~5F"},
		{".sgwtmp", "%~2Esgwtmp"},
	} {
		got := Escape(tc.name)
		if got != tc.want {
			t.Errorf("Escape(%q) = %q, want %q", tc.name, got, tc.want)
		}
		checkEscaped(t, tc.name, got)
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, tc := range []struct {
		component string
		want      Hidden
	}{
		{"", HiddenEmpty},
		{".", HiddenDots},
		{"..", HiddenDots},
		{"%~2E", HiddenDots},
		{"%~2E.", HiddenDots},
		{strings.Repeat("a", 256), HiddenLong},
		{strings.Repeat("%~FF", 64), HiddenLong},
		{"%~00", HiddenBytes},
		{"a\x00", HiddenBytes},
		{"%~2F", HiddenBytes},
		{"%~41", HiddenEscape},
		{"a%~2E", HiddenEscape},
		{"\xff", HiddenEscape},
		{"a\x01", HiddenEscape},
		{"%~C3%~A9", HiddenEscape},
		{" ", HiddenEscape},
		{`a\..`, HiddenEscape},
	} {
		if name, got := Unescape(tc.component); got != tc.want || name != "" {
			t.Errorf("Unescape(%q) = %q, %q, want %q", tc.component, name, got, tc.want)
		}
	}
}

// checkEscaped tests what holds for every name: its escape is a fit component and is
// taken back, if a filesystem can have the name at all.
func checkEscaped(t *testing.T, name, component string) {
	t.Helper()
	if !utf8.ValidString(component) || component == "." || component == ".." || strings.ContainsAny(component, "\x00/") {
		t.Errorf("Escape(%q) = %q is no component of a key", name, component)
	}
	if name != "" && strings.TrimSpace(component) == "" {
		t.Errorf("Escape(%q) = %q is blank", name, component)
	}
	for part := range strings.SplitSeq(component, `\`) {
		if bare := strings.TrimSpace(part); bare == "." || bare == ".." {
			t.Errorf("Escape(%q) = %q has the dot component %q", name, component, part)
		}
	}
	if unfit(component) != nil && !strings.Contains(component, introducer) {
		t.Errorf("Escape(%q) = %q would be escaped again", name, component)
	}
	if decoded := decode(component); decoded != name {
		t.Errorf("%q is escaped as %q, which decodes to %q", name, component, decoded)
	}
	if name == "" || name == "." || name == ".." || len(component) > MaxName || strings.ContainsAny(name, "\x00/") {
		return
	}
	if back, hidden := Unescape(component); back != name || hidden != Shown {
		t.Errorf("Unescape(%q) = %q, %q, want %q", component, back, hidden, name)
	}
}

// TestEscapeRandom composes names of the pieces that matter.
func TestEscapeRandom(t *testing.T) {
	pieces := []string{"%", "~", "%~", "2", "5", "E", "F", "e", ".", "..", " ", "\\", "\t", "a", "é", "\u00a0", "\uffff", "\xc3", "\xff", "\x01", "__XLDIR__", ".sgwtmp", "/", "\x00"}
	random := rand.New(rand.NewPCG(1, 2))
	escapes := make(map[string]string)
	for range 20_000 {
		var name strings.Builder
		for range random.IntN(6) {
			name.WriteString(pieces[random.IntN(len(pieces))])
		}
		component := Escape(name.String())
		checkEscaped(t, name.String(), component)
		if other, ok := escapes[component]; ok && other != name.String() {
			t.Fatalf("%q and %q both escape to %q", other, name.String(), component)
		}
		escapes[component] = name.String()
	}
}

func FuzzEscape(f *testing.F) {
	for _, name := range []string{"", "a", "..", "%~41", "%~%~25", "\xff/\x00", `\.. \`, "__XLDIR__"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkEscaped(t, text, Escape(text))
		// The same text as a component of somebody's key.
		if name, hidden := Unescape(text); hidden == Shown && Escape(name) != text {
			t.Errorf("component %q is shown as %q, which is kept under %q", text, name, Escape(name))
		}
	})
}
