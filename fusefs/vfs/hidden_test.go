package vfs_test

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// list checks the names in a directory.
func (v *volume) list(dir string, want ...string) {
	v.t.Helper()
	names, err := v.names(dir)
	if slices.Sort(names); err != nil || !slices.Equal(names, want) {
		v.t.Errorf("%q lists %q, %v, want %q", dir, names, err, want)
	}
}

// foreignKeys are keys that a filesystem cannot show, with what is beside them.
var foreignKeys = []string{
	"v//a", "v/.", "v/../b", "v/d//e", "v/d/.", "v/d/%~41", "v/f/", "v/foo", "v/only//x", "v/only/sub/..", "v/" + strings.Repeat("l", 256),
}

// TestHiddenKeys: what cannot be shown is counted, logged once, and survives the removal
// of everything that can.
func TestHiddenKeys(t *testing.T) {
	for _, metadata := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			bucket := bucketOf(t, memory.Options{Without: objstore.Capabilities{ListMetadata: !metadata}})
			for _, key := range foreignKeys {
				bucket.Set(key, []byte("of "+key), objstore.Attributes{Metadata: map[string]string{"color": "blue"}})
			}
			for _, key := range []string{"v/d/shown", "v/foo/x", "v/f/g", "v/c"} {
				bucket.Set(key, []byte("shown"), objstore.Attributes{})
			}
			var log bytes.Buffer
			v := open(t, bucket, t.TempDir(), shortly, func(c *vfs.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			defer v.close()
			want := map[layout.Hidden]int{
				layout.HiddenEmpty: 3, layout.HiddenDots: 4, layout.HiddenEscape: 1, layout.HiddenShadowed: 1, layout.HiddenContent: 1, layout.HiddenLong: 1,
			}
			for range 3 {
				v.list("", "c", "d", "f", "foo")
				v.list("d", "shown")
				v.list("f", "g")
				v.list("foo", "x")
				if got := v.State().Hidden; !maps.Equal(got, want) {
					t.Errorf("hidden keys: %v, want %v", got, want)
				}
				time.Sleep(2 * time.Second)
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			for i, line := range lines {
				_, lines[i], _ = strings.Cut(line, " ") // the time
			}
			if slices.Sort(lines); len(lines) < 9 || len(slices.Compact(lines)) != len(lines) {
				t.Errorf("not logged once:\n%s", strings.Join(lines, "\n"))
			}

			for _, file := range []string{"d/shown", "foo/x", "f/g", "c"} {
				if err := v.unlink(file); err != nil {
					t.Fatal(err)
				}
			}
			v.drain()
			for _, dir := range []string{"d", "foo", "f"} {
				v.list(dir)
				if err := v.rmdir(dir); err != nil {
					t.Errorf("rmdir %s: %v", dir, err)
				}
			}
			v.drain()
			// The file that the directory hid can be shown now.
			time.Sleep(2 * time.Second)
			v.list("", "foo")
			for key, stored := range bucket.Snapshot() {
				if !slices.Contains(foreignKeys, key) && key != "v/" {
					t.Errorf("%q is left", key)
				}
				if key == "v/f/" && (stored.Metadata["color"] != "blue" || stored.Metadata["mode"] != "") {
					t.Errorf("%q has the metadata %v", key, stored.Metadata)
				}
			}
			for _, key := range foreignKeys {
				if stored, ok := bucket.Snapshot()[key]; !ok || string(stored.Data) != "of "+key {
					t.Errorf("%q is %q", key, stored.Data)
				}
			}
			other := open(t, bucket, t.TempDir())
			defer other.close()
			other.list("", "foo")
		})
	}
}

// TestDirectoryOverHiddenKeys: a directory can be made where only hidden keys lie, and is
// there for other hosts, with its attributes; they move nowhere with it.
func TestDirectoryOverHiddenKeys(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	bucket.Set("v/d//e", []byte("hidden"), objstore.Attributes{})
	bucket.Set("v/m/", []byte("content"), objstore.Attributes{})
	v := open(t, bucket, t.TempDir())
	v.list("")
	if _, err := v.stat("d"); !errors.Is(err, vfs.ErrNotExist) {
		t.Errorf("d: %v", err)
	}
	want(t, v.mkdir("d", 0o711))
	want(t, v.mkdir("m", 0o711))
	v.drain()
	v.close()
	v = open(t, bucket, t.TempDir())
	v.list("", "d", "m")
	for _, dir := range []string{"d", "m"} {
		if a, err := v.stat(dir); err != nil || a.Mode&0o777 != 0o711 {
			t.Errorf("%s has mode %o, %v", dir, a.Mode, err)
		}
	}
	if got := string(bucket.Snapshot()["v/m/"].Data); got != "content" {
		t.Errorf("the marker holds %q", got)
	}
	want(t, v.rename("d", "e"))
	want(t, v.mkdir("x", 0o755))
	want(t, v.rename("x", "m"))
	v.drain()
	v.close()
	v = open(t, bucket, t.TempDir())
	v.list("", "e", "m")
	if got := string(bucket.Snapshot()["v/m/"].Data); got != "content" {
		t.Errorf("the marker that a directory was renamed over holds %q", got)
	}
	if _, ok := bucket.Snapshot()["v/d//e"]; !ok {
		t.Error("the hidden key is gone")
	}
}
