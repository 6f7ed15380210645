package vfs_test

import (
	"fmt"
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

// oddNames are names that most stores or clients cannot have in a key.
func oddNames() []string {
	names := []string{
		" lead", "trail ", ".dot", "dot.", "...", "a\\..\\b", "%~41", "%41", "+", "#", "?", "__XLDIR__", ".sgwtmp", "é", "\xc3", "long",
		strings.Repeat("n", 246), strings.Repeat("n", 247), strings.Repeat("é", 127),
		strings.Repeat("\xff", 61), strings.Repeat("\xff", 62), strings.Repeat("\xff", 63), strings.Repeat("\xff", 64),
	}
	for _, c := range []string{"\xff", "\x01", "\n", "\\", "%", "+", "#", "?", " ", "."} {
		names = append(names, strings.Repeat(c, 255))
	}
	return names
}

// TestOddNames: every name, of a file and of a directory, is there on a host that never saw it.
func TestOddNames(t *testing.T) {
	for _, metadata := range []bool{true, false} {
		t.Run(fmt.Sprintf("listings with metadata: %t", metadata), func(t *testing.T) {
			bucket := bucketOf(t, memory.Options{Without: objstore.Capabilities{ListMetadata: !metadata}})
			names := oddNames()
			v := open(t, bucket, t.TempDir())
			want(t, v.mkdir("files", 0o755))
			want(t, v.mkdir("dirs", 0o755))
			for i, name := range names {
				want(t, v.write("files/"+name, 0, fmt.Append(nil, "content ", i), 0))
				want(t, v.mkdir("dirs/"+name, 0o711))
				want(t, v.write("dirs/"+name+"/"+name, 0, fmt.Append(nil, "below ", i), 0))
			}
			v.drain()
			v.close()

			v = open(t, bucket, t.TempDir())
			slices.Sort(names)
			for _, dir := range []string{"dirs", "files"} {
				got, err := v.names(dir)
				want(t, err)
				if slices.Sort(got); !slices.Equal(got, names) {
					t.Errorf("%s lists %q", dir, got)
				}
			}
			for i, name := range oddNames() {
				for path, content := range map[string]string{
					"files/" + name:             fmt.Sprint("content ", i),
					"dirs/" + name + "/" + name: fmt.Sprint("below ", i),
				} {
					if got, err := v.read(path); err != nil || string(got) != content {
						t.Errorf("%.20q… is %q, %v", path, got, err)
					}
				}
				if a, err := v.stat("dirs/" + name); err != nil || a.Mode&0o777 != 0o711 {
					t.Errorf("directory %.20q… has mode %o, %v", name, a.Mode, err)
				}
				want(t, v.unlink("files/"+name))
				want(t, v.unlink("dirs/"+name+"/"+name))
				want(t, v.rmdir("dirs/"+name))
			}
			v.drain()
			for key := range bucket.Snapshot() {
				if key != "v/" && key != "v/files/" && key != "v/dirs/" {
					t.Errorf("%q is left", key)
				}
			}
		})
	}
}

// deep is a path of a directory with 4,095 bytes.
var deep = strings.Repeat(strings.Repeat("d", 63)+"/", 63) + strings.Repeat("d", 63)

// mkdirAll makes the directories of a path one in the other.
func (v *volume) mkdirAll(path string) {
	v.t.Helper()
	for i, c := range path {
		if c == '/' {
			want(v.t, v.mkdir(path[:i], 0o755))
		}
	}
	want(v.t, v.mkdir(path, 0o755))
}

// TestDeepPaths: the longest paths, moved out of the overflow form and back, are there on
// a host that never saw them.
func TestDeepPaths(t *testing.T) {
	bucket := bucketOf(t, memory.Options{})
	v := open(t, bucket, t.TempDir())
	v.mkdirAll(deep)
	want(t, v.write(deep+"/f", 0, []byte("deep"), 0))
	// The subtree's keys cross the limit in both directions.
	short, rest := deep[:1600-1], deep[1600:]
	want(t, v.rename(short, "short"))
	v.drain()
	v.close()

	v = open(t, bucket, t.TempDir())
	if got, err := v.read("short/" + rest + "/f"); err != nil || string(got) != "deep" {
		t.Errorf("moved up: %q, %v", got, err)
	}
	want(t, v.rename("short", short))
	v.drain()
	v.close()

	v = open(t, bucket, t.TempDir())
	if got, err := v.read(deep + "/f"); err != nil || string(got) != "deep" {
		t.Errorf("moved back: %q, %v", got, err)
	}
	if names, err := v.names(short); err != nil || !slices.Equal(names, []string{rest[:63]}) {
		t.Errorf("%q, %v", names, err)
	}
	want(t, v.unlink(deep+"/f"))
	for dir := deep; dir != ""; dir, _ = layout.Split(dir) {
		want(t, v.rmdir(dir))
	}
	v.drain()
	if left := bucket.Snapshot(); len(left) != 1 {
		t.Errorf("%d objects are left", len(left))
	}
}

// TestLongNamesOfAnotherHost: what another host makes, changes and removes is seen within
// the ttl, in overflow form too.
func TestLongNamesOfAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := bucketOf(t, memory.Options{})
		worst := strings.Repeat("\xff", 255)
		here := open(t, bucket, t.TempDir(), shortly)
		defer here.close()
		if names, err := here.names(""); err != nil || len(names) != 0 {
			t.Fatalf("%q, %v", names, err)
		}
		there := open(t, bucket, t.TempDir(), shortly)
		defer there.close()
		want(t, there.mkdir(worst, 0o711))
		want(t, there.write(worst+"/"+worst, 0, []byte("one"), 0))
		there.drain()
		time.Sleep(2 * time.Second)
		if got, err := here.read(worst + "/" + worst); err != nil || string(got) != "one" {
			t.Errorf("made: %q, %v", got, err)
		}
		want(t, there.write(worst+"/"+worst, 0, []byte("two"), 0))
		mode := uint32(0o700)
		want(t, there.setattr(worst, vfs.SetAttr{Mode: &mode}))
		there.drain()
		time.Sleep(2 * time.Second)
		if _, err := here.names(""); err != nil {
			t.Error(err)
		}
		if _, err := here.names(worst); err != nil {
			t.Error(err)
		}
		if got, err := here.read(worst + "/" + worst); err != nil || string(got) != "two" {
			t.Errorf("changed: %q, %v", got, err)
		}
		if a, err := here.stat(worst); err != nil || a.Mode&0o777 != mode {
			t.Errorf("changed: mode %o, %v", a.Mode, err)
		}
		want(t, there.unlink(worst+"/"+worst))
		want(t, there.rmdir(worst))
		there.drain()
		time.Sleep(2 * time.Second)
		if names, err := here.names(""); err != nil || len(names) != 0 {
			t.Errorf("removed: %q, %v", names, err)
		}
	})
}
