package layout

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"objvol/objstore"
)

// checkKey tests what holds for the key of every path: every store takes it, and the
// listing in which it is found shows the name.
func checkKey(t *testing.T, l Layout, path string, isDir bool) string {
	t.Helper()
	key, err := l.key(path, isDir)
	if err != nil {
		t.Errorf("%.40q… has no key: %v", path, err)
		return ""
	}
	if len(key) > objstore.MaxKeyLength {
		t.Errorf("%.40q… has a key of %d bytes", path, len(key))
	}
	limit := MaxName
	for component := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if len(component) > limit || component == "" || unfit(component) != nil && !strings.Contains(component, introducer) {
			t.Errorf("%.40q… has a key with the component %q", path, component)
		}
	}
	if last := key[strings.LastIndexByte(strings.TrimSuffix(key, "/"), '/')+1:]; isDir && len(last) > MaxDirName+1 {
		t.Errorf("%.40q… has a marker named %q", path, last)
	}
	dir, name := Split(path)
	f, err := l.Folder(dir)
	if err != nil {
		t.Error(err)
	}
	plain, shallow := f.Prefix()
	if in := f.LongPrefix(); l.IsLong(key) != strings.HasPrefix(key, in) || !l.IsLong(key) && !(shallow && strings.HasPrefix(key, plain)) {
		t.Errorf("%q is listed neither below %q nor below %q", key, plain, in)
	}
	if got, want := f.Entry(key), (Entry{Name: name, Dir: isDir}); got != want {
		t.Errorf("%q is shown as %+v, not as %+v", key, got, want)
	}
	if !f.Holds(key) {
		t.Errorf("%q does not lie in %q", key, f.Path())
	}
	if isDir {
		below, err := l.Folder(path)
		if err != nil || below.LongPrefix() != l.LongBelow(key) {
			t.Errorf("below %q lies %q, %v", key, below.LongPrefix(), err)
		}
		if below.Holds(key) {
			t.Errorf("%q lies in itself", key)
		}
	}
	return key
}

// TestKeyLimits: each limit is met exactly; what is beyond it is in overflow form.
func TestKeyLimits(t *testing.T) {
	l := newLayout(t, "v")
	long := strings.Repeat("n", MaxName)
	full := strings.Repeat(long[:MaxDirName]+"/", 4)
	full += strings.Repeat("n", objstore.MaxKeyLength-len("v/")-len(full))
	for _, tc := range []struct {
		path  string
		isDir bool
		long  bool
	}{
		{long, false, false},
		{long, true, true},
		{long[:MaxDirName], true, false},
		{long[:MaxDirName+1], true, true},
		// What lies below a directory with an overflow marker can be plain.
		{long + "/a", false, false},
		{long + "/a", true, false},
		{strings.Repeat("\xff", 63), false, false},
		{strings.Repeat("\xff", 64), false, true},
		{strings.Repeat("\xff", 61), true, false},
		{strings.Repeat("\xff", 62), true, true},
		{strings.Repeat("\xff", 62) + "/a", false, false},
		{strings.Repeat("\xff", 64) + "/a", false, true},
		{strings.Repeat("\xff", 64) + "/a", true, true},
		{full, false, false},
		{full, true, true},
		{full + "n", false, true},
		{full + "/n", false, true},
		{full[:len(full)-2] + "/n", false, false},
		{full[:len(full)-2] + "/n", true, true},
		{full[:len(full)-2] + "/nn", false, true},
	} {
		if key := checkKey(t, l, tc.path, tc.isDir); l.IsLong(key) != tc.long {
			t.Errorf("%.20q… of %d bytes, a directory: %t, lies at %q", tc.path, len(tc.path), tc.isDir, key)
		}
	}
}

// TestLongNames: the worst names of Linux, at the worst places.
func TestLongNames(t *testing.T) {
	for _, prefix := range []string{"", "v", strings.Repeat("p", MaxDirName), strings.Repeat(strings.Repeat("p", 99)+"/", 7)} {
		l := newLayout(t, prefix)
		for _, dir := range []string{"", "a/b/", strings.Repeat("\xff", 255) + "/", strings.Repeat("d/", 1900), strings.Repeat(strings.Repeat("d", 254)+"/", 15)} {
			for _, pattern := range []string{"\xff", "\x01", "\n", "\\", "%", "+", "#", "?", " ", ".", "%~2F", "é", "__XLDIR__"} {
				name := strings.Repeat(pattern, 255)[:255]
				checkKey(t, l, dir+name, false)
				checkKey(t, l, dir+name, true)
			}
		}
	}
}

// TestKeysApart: no two paths have one key, and no key of a file begins that of another
// with a slash behind it, unless one path does.
func TestKeysApart(t *testing.T) {
	l := newLayout(t, "v")
	pieces := []string{"a", "\xff", strings.Repeat("\xff", 50), strings.Repeat("\xff", 100), strings.Repeat("n", 100), "%~2F", "-", "long"}
	random := rand.New(rand.NewPCG(5, 6))
	paths := make(map[string]string)
	for range 3000 {
		var names []string
		for range 1 + random.IntN(9) {
			var name string
			for range 1 + random.IntN(3) {
				if piece := pieces[random.IntN(len(pieces))]; len(name)+len(piece) <= MaxName {
					name += piece
				}
			}
			names = append(names, name)
		}
		path := strings.Join(names, "/")
		for _, isDir := range []bool{false, true} {
			key := checkKey(t, l, path, isDir)
			called := fmt.Sprint(path, isDir)
			if other, ok := paths[key]; ok && other != called {
				t.Fatalf("%q and %q have one key", other, called)
			}
			paths[key] = called
		}
	}
	for key := range paths {
		for i := range key[:len(key)-1] {
			if above, ok := paths[key[:i]]; ok && key[i] == '/' && strings.HasSuffix(above, "false") && l.IsLong(key) {
				if bare := strings.TrimSuffix(above, "false"); paths[key] != bare+"true" {
					t.Errorf("%q lies below the file %q", paths[key], above)
				}
			}
		}
	}
}

// TestLongRefused: keys among those in overflow form that no name has.
func TestLongRefused(t *testing.T) {
	l := newLayout(t, "v")
	f, err := l.Folder("a")
	if err != nil {
		t.Fatal(err)
	}
	whole := checkKey(t, l, "a/"+strings.Repeat("\xff", 255), false)
	for end, want := range map[string]Hidden{
		"":         HiddenEmpty,
		"short":    HiddenLong, // it is plain
		"x/y":      HiddenForeign,
		"..":       HiddenDots,
		"%~2Fff":   HiddenLong,
		"%~2Fxy":   HiddenEscape,
		"%~2F":     HiddenLong,
		"%~2F612e": HiddenLong,
	} {
		if got := f.Entry(f.LongPrefix() + end); got.Hidden != want || got.Name != "" {
			t.Errorf("%q is shown as %+v, want %q", end, got, want)
		}
	}
	if got := f.Entry(strings.ReplaceAll(whole, "-/", "/")); got.Hidden == Shown {
		t.Errorf("a long name without its dashes is shown as %.20q…", got.Name)
	}
	if got := f.Entry(strings.Replace(whole, "long/", "long/x", 1)); got.Hidden != HiddenForeign {
		t.Errorf("what lies in another directory is shown as %+v", got)
	}
	if _, _, hidden := l.Path(whole); hidden == Shown {
		t.Error("a key in overflow form tells its path")
	}
}

// FuzzLong: every path has keys, and its directory's listing shows them.
func FuzzLong(f *testing.F) {
	f.Add("v", strings.Repeat("\xff", 255)+"/a")
	f.Add("", strings.Repeat("d/", 600)+"\x01")
	f.Fuzz(func(t *testing.T, prefix, path string) {
		l, err := New(prefix)
		if err != nil {
			return
		}
		if _, err := l.File(path); err != nil {
			return
		}
		checkKey(t, l, path, false)
		checkKey(t, l, path, true)
	})
}
