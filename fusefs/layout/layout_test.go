package layout

import (
	"errors"
	"strings"
	"testing"

	"objvol/objstore"
)

func newLayout(t *testing.T, prefix string) Layout {
	t.Helper()
	l, err := New(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNew(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "v": "v/", "v/": "v/", "a/b": "a/b/", "%~2E ": "%~2E /", "a b": "a b/", ".objvolx": ".objvolx/", "a/.objvol": "a/.objvol/",
		strings.Repeat("d", 246): strings.Repeat("d", 246) + "/",
	} {
		if got := newLayout(t, prefix).Prefix(); got != want {
			t.Errorf("New(%q) lies at %q, want %q", prefix, got, want)
		}
	}
	for _, prefix := range []string{
		"/", "/v", "v//", "a//b", ".", "..", "a/../b", "./v", "v/.", ".objvol", ".objvol/", ".objvol/x", "\xff", "a\x00", "%~41", " ", `a\..`,
		strings.Repeat("d", 247), strings.Repeat("d/", 400),
	} {
		if l, err := New(prefix); !errors.Is(err, ErrInvalidPrefix) {
			t.Errorf("New(%q) = %q, %v, want ErrInvalidPrefix", prefix, l.Prefix(), err)
		}
	}
}

func TestKeys(t *testing.T) {
	in := newLayout(t, "v")
	top := newLayout(t, "")
	for _, tc := range []struct {
		layout    Layout
		path      string
		file, dir string
	}{
		{in, "a", "v/a", "v/a/"},
		{in, "a/b\xff/..x", "v/a/b%~FF/..x", "v/a/b%~FF/..x/"},
		{in, ".objvol/x", "v/.objvol/x", "v/.objvol/x/"},
		{top, "a/.objvol", "a/.objvol", "a/.objvol/"},
	} {
		file, err := tc.layout.File(tc.path)
		if err != nil || file != tc.file {
			t.Errorf("File(%q) = %q, %v, want %q", tc.path, file, err, tc.file)
		}
		dir, err := tc.layout.Dir(tc.path)
		if err != nil || dir != tc.dir {
			t.Errorf("Dir(%q) = %q, %v, want %q", tc.path, dir, err, tc.dir)
		}
		f, err := tc.layout.Folder(tc.path)
		if list, ok := f.Prefix(); err != nil || !ok || list != tc.dir || f.Path() != tc.path {
			t.Errorf("the folder %q lists %q, %v, want %q", f.Path(), list, err, tc.dir)
		}
	}
}

func TestRoot(t *testing.T) {
	for prefix, want := range map[string]string{"v": "v/", "": ".objvol/volumes/%~2F/root/"} {
		l := newLayout(t, prefix)
		dir, err := l.Dir("")
		if err != nil || dir != want || l.Root() != want {
			t.Errorf("prefix %q: Dir(\"\") = %q, %v, Root = %q, want %q", prefix, dir, err, l.Root(), want)
		}
		f, err := l.Folder("")
		if list, ok := f.Prefix(); err != nil || !ok || list != l.Prefix() {
			t.Errorf("prefix %q: the root lists %q, %v", prefix, list, err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	in, top := newLayout(t, "v"), newLayout(t, "")
	long := strings.Repeat("n", MaxName)
	for _, tc := range []struct {
		layout Layout
		path   string
		want   error
	}{
		{in, "/a", ErrInvalidPath},
		{in, "a/", ErrInvalidPath},
		{in, "a//b", ErrInvalidPath},
		{in, ".", ErrInvalidPath},
		{in, "a/../b", ErrInvalidPath},
		{in, "a\x00", ErrInvalidPath},
		{in, long + "n", ErrNameTooLong},
		{in, long + "n/a", ErrNameTooLong},
		{in, strings.Repeat("\xff", 256), ErrNameTooLong},
		{in, strings.Repeat("d/", 1000) + long + "n", ErrNameTooLong},
		{top, ".objvol", ErrReserved},
		{top, ".objvol/volumes", ErrReserved},
	} {
		folder := func(path string) (string, error) {
			f, err := tc.layout.Folder(path)
			return f.Path(), err
		}
		for name, call := range map[string]func(string) (string, error){"File": tc.layout.File, "Dir": tc.layout.Dir, "Folder": folder} {
			if key, err := call(tc.path); !errors.Is(err, tc.want) {
				t.Errorf("%s(%.20q…) = %q, %v, want %v", name, tc.path, key, err, tc.want)
			}
		}
	}
	if _, err := in.File(""); !errors.Is(err, ErrInvalidPath) {
		t.Errorf("File(\"\"): %v, want ErrInvalidPath", err)
	}
}

func TestEntry(t *testing.T) {
	in, top := newLayout(t, "v"), newLayout(t, "")
	for _, tc := range []struct {
		layout   Layout
		dir, key string
		want     Entry
	}{
		{in, "", "v/", Entry{Dir: true, Self: true}},
		{in, "a", "v/a/", Entry{Dir: true, Self: true}},
		{in, "", "v/a", Entry{Name: "a"}},
		{in, "", "v/a/", Entry{Name: "a", Dir: true}},
		{in, "a", "v/a/%~FF", Entry{Name: "\xff"}},
		{in, "", "v//", Entry{Dir: true, Hidden: HiddenEmpty}},
		{in, "a", "v/a/./", Entry{Dir: true, Hidden: HiddenDots}},
		{in, "a", "v/a/..", Entry{Hidden: HiddenDots}},
		{in, "a", "v/a/%~41", Entry{Hidden: HiddenEscape}},
		{in, "", "v/.objvol/", Entry{Name: ".objvol", Dir: true}},
		{in, "", "w/a", Entry{Hidden: HiddenForeign}},
		{in, "", "v/a/b", Entry{Hidden: HiddenForeign}},
		{top, "", ".objvol/", Entry{Dir: true, Hidden: HiddenReserved}},
		{top, "", ".objvol", Entry{Hidden: HiddenReserved}},
		{top, "", "/", Entry{Dir: true, Hidden: HiddenEmpty}},
		{top, "", "a", Entry{Name: "a"}},
		{top, "a", "a/.objvol", Entry{Name: ".objvol"}},
	} {
		f, err := tc.layout.Folder(tc.dir)
		if got := f.Entry(tc.key); err != nil || got != tc.want {
			t.Errorf("Entry(%q, %q) = %+v, want %+v", tc.dir, tc.key, got, tc.want)
		}
	}
}

func TestPath(t *testing.T) {
	in, top := newLayout(t, "v"), newLayout(t, "")
	for _, tc := range []struct {
		layout Layout
		key    string
		path   string
		dir    bool
		hidden Hidden
	}{
		{in, "v/", "", true, Shown},
		{in, "v/a/b", "a/b", false, Shown},
		{in, "v/a/%~2E /", "a/. ", true, Shown},
		{in, "v/a/%~2E./", "", true, HiddenDots},
		{in, "v/a//b", "", false, HiddenEmpty},
		{in, "v//", "", true, HiddenEmpty},
		{in, "v/a/../b", "", false, HiddenDots},
		{in, "v/" + strings.Repeat("d", 247) + "/a", strings.Repeat("d", 247) + "/a", false, Shown},
		{in, "v/" + strings.Repeat("d", 247) + "/", "", true, HiddenLong},
		{in, "w/a", "", false, HiddenForeign},
		{in, ".objvol/volumes/v/lease", "", false, HiddenForeign},
		{top, ".objvol/volumes/%~2F/root/", "", true, Shown},
		{top, ".objvol/volumes/%~2F/lease", "", false, HiddenReserved},
		{top, "a", "a", false, Shown},
	} {
		path, dir, hidden := tc.layout.Path(tc.key)
		if path != tc.path || dir != tc.dir || hidden != tc.hidden {
			t.Errorf("Path(%q) = %q, %v, %q", tc.key, path, dir, hidden)
		}
	}
}

// FuzzKeys: what is shown of a key leads back to it, by path and by entry.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"a", "a/", "a/b", "a//b", "/", ".objvol/volumes/%~2F/root/", "%~2E./x", "a/%~2F"} {
		f.Add("", key)
		f.Add("v", "v/"+key)
	}
	f.Fuzz(func(t *testing.T, prefix, key string) {
		l, err := New(prefix)
		if err != nil || key == "" || len(key) > objstore.MaxKeyLength {
			return
		}
		path, isDir, hidden := l.Path(key)
		if hidden != Shown {
			if path != "" {
				t.Errorf("%q is hidden and has the path %q", key, path)
			}
			return
		}
		back := l.File
		if isDir {
			back = l.Dir
		}
		if again, err := back(path); err != nil || again != key {
			t.Errorf("%q has the path %q, which has the key %q, %v", key, path, again, err)
		}
		dir, name := Split(path)
		want := Entry{Name: name, Dir: isDir}
		if path == "" {
			want.Self = true
			if l.Prefix() == "" {
				return // the root's marker is in no listing
			}
		}
		f, err := l.Folder(dir)
		if entry := f.Entry(key); err != nil || entry != want {
			t.Errorf("Entry(%q, %q) = %+v, want %+v", dir, key, entry, want)
		}
	})
}
