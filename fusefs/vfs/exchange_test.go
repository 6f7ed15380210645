package vfs_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

func (v *volume) exchange(t *testing.T, one, two string) {
	t.Helper()
	if err := v.renameat2(one, two, unix.RENAME_EXCHANGE); err != nil {
		t.Fatalf("exchange %s and %s: %v", one, two, err)
	}
}

// What was exchanged is exchanged here at once and, after a drain, in the bucket, where
// a file and a directory of one name may exclude each other.
func TestExchange(t *testing.T) {
	for name, without := range map[string]objstore.Capabilities{"full": {}, "files": {FileAndDirectory: true}} {
		t.Run(name, func(t *testing.T) {
			bucket := memory.New(memory.Options{Without: without})
			v := open(t, bucket, t.TempDir())
			for _, dir := range []string{"d", "d/sub", "e"} {
				want(t, v.mkdir(dir, 0o755))
			}
			for _, path := range []string{"f", "g", "d/sub/x", "e/y"} {
				want(t, v.write(path, 0, []byte("was "+path), 0))
			}
			v.drain()
			v.exchange(t, "f", "g")
			v.exchange(t, "d", "e")
			v.exchange(t, "d", "f") // a directory and a file
			contents := map[string]string{"d": "was g", "g": "was f", "e/sub/x": "was d/sub/x", "f/y": "was e/y"}
			check := func(v *volume) {
				t.Helper()
				for path, text := range contents {
					if got, err := v.read(path); err != nil || string(got) != text {
						t.Errorf("%s is %q, %v, want %q", path, got, err, text)
					}
				}
			}
			check(v)
			v.drain()
			v.close()
			check(open(t, bucket, t.TempDir()))
			files := 0
			for key, obj := range bucket.Snapshot() {
				if key[len(key)-1] == '/' {
					continue
				}
				files++
				if got := string(obj.Data); got != contents[key[len("v/"):]] {
					t.Errorf("the object %s is %q", key, got)
				}
			}
			if files != len(contents) {
				t.Errorf("the bucket holds %d files", files)
			}
		})
	}
}

// What a listing did not tell of the files below is asked for before they move.
func TestExchangeOfWhatIsNotKnown(t *testing.T) {
	bucket := memory.New(memory.Options{Without: objstore.Capabilities{ListMetadata: true}})
	for key, mode := range map[string]string{"v/d/x": "33152", "v/e/x": "33184"} { // 0600 and 0640
		bucket.Set(key, nil, objstore.Attributes{Metadata: map[string]string{"mode": mode, "uid": "5"}})
	}
	v := open(t, bucket, t.TempDir())
	v.exchange(t, "d", "e")
	v.drain()
	v.close()
	there := open(t, bucket, t.TempDir())
	for path, mode := range map[string]uint32{"e/x": 0o100600, "d/x": 0o100640} {
		if a, err := there.stat(path); err != nil || a.Mode != mode || a.UID != 5 {
			t.Errorf("%s: mode %o of %d, %v, want %o of 5", path, a.Mode, a.UID, err, mode)
		}
	}
}

func TestExchangeRefuses(t *testing.T) {
	v := open(t, memory.New(memory.Options{}), t.TempDir())
	want(t, v.mkdir("d", 0o755))
	want(t, v.mkdir("d/sub", 0o755))
	want(t, v.write("f", 0, []byte("f"), 0))
	for _, c := range []struct {
		one, two string
		flags    uint32
		want     error
	}{
		{"f", "nothing", unix.RENAME_EXCHANGE, vfs.ErrNotExist},
		{"nothing", "f", unix.RENAME_EXCHANGE, vfs.ErrNotExist},
		{"d", "d/sub", unix.RENAME_EXCHANGE, vfs.ErrInvalid},
		{"d/sub", "d", unix.RENAME_EXCHANGE, vfs.ErrInvalid},
		{"f", "d", unix.RENAME_EXCHANGE | unix.RENAME_NOREPLACE, vfs.ErrInvalid},
		{"f", "d", unix.RENAME_WHITEOUT, vfs.ErrInvalid},
		{"f", "d", unix.RENAME_NOREPLACE, vfs.ErrExist},
		{"f", "f", unix.RENAME_NOREPLACE, vfs.ErrExist},
		{"f", "f", unix.RENAME_EXCHANGE, nil},
	} {
		if err := v.renameat2(c.one, c.two, c.flags); !errors.Is(err, c.want) {
			t.Errorf("%s and %s with flags %d: %v, want %v", c.one, c.two, c.flags, err, c.want)
		}
	}
}
