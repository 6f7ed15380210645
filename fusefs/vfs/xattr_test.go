package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
	// A list by which user 7 may read, with the mode bits 0640.
	readable = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\x07\x00\x00\x00\x04\x00\x00\x00\xff\xff\xff\xff\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"
)

func (v *volume) setXattr(path, name, value string) error {
	a, err := v.stat(path)
	if err != nil {
		return err
	}
	return v.SetXattr(context.Background(), a.Ino, name, value, 0, false)
}

func (v *volume) getXattr(path, name string) (string, error) {
	a, err := v.stat(path)
	if err != nil {
		return "", err
	}
	return v.GetXattr(context.Background(), a.Ino, name)
}

// xattrs shows all attributes of a file.
func (v *volume) xattrs(path string) string {
	a, err := v.stat(path)
	if err != nil {
		return err.Error()
	}
	names, err := v.ListXattr(context.Background(), a.Ino, root)
	var all []string
	for _, name := range names {
		value, getErr := v.GetXattr(context.Background(), a.Ino, name)
		all, err = append(all, fmt.Sprintf("%s=%q", name, value)), errors.Join(err, getErr)
	}
	if err != nil {
		return err.Error()
	}
	return strings.Join(all, " ")
}

// Extended attributes are what they were on a host that sees them for the first time,
// whether it lists the bucket or asks for each object.
func TestXattrsAreKeptInTheBucket(t *testing.T) {
	for _, silent := range []bool{false, true} {
		bucket := memory.New(memory.Options{Without: objstore.Capabilities{ListMetadata: silent}})
		v := open(t, bucket, t.TempDir())
		want(t, v.write("file", 0, []byte("content"), 0))
		want(t, v.mkdir("dir", 0o755))
		want(t, v.write("dir/inside", 0, nil, 0))
		want(t, v.symlink("file", "link"))
		want(t, v.mknod("fifo", syscall.S_IFIFO|0o600, 0))
		set := map[string][]string{
			"": {"user.root"}, "file": {"user.\xff,\"\n", "security.capability", accessACL, "trusted.a"},
			"dir": {"user.a", accessACL, defaultACL}, "dir/inside": {"user.a"}, "link": {"trusted.l", "security.l"}, "fifo": {accessACL},
		}
		shown := map[string]string{}
		for path, names := range set {
			for _, name := range names {
				value := "\x00value of " + name
				if name == accessACL || name == defaultACL {
					value = readable
				}
				want(t, v.setXattr(path, name, value))
			}
			if shown[path] = v.xattrs(path); strings.Count(shown[path], "=\"") != len(names) {
				t.Errorf("%q has %s", path, shown[path])
			}
		}
		want(t, v.rename("dir", "moved"))
		v.drain()
		v.close()

		there := open(t, bucket, t.TempDir())
		for path := range set {
			if got := there.xattrs(strings.Replace(path, "dir", "moved", 1)); got != shown[path] {
				t.Errorf("%q has %s, want %s", path, got, shown[path])
			}
		}
		if a, err := there.stat("file"); err != nil || a.Mode&0o777 != 0o640 {
			t.Errorf("the list has made the mode %o, %v", a.Mode, err)
		}
		// Attributes that go are gone in the bucket too.
		for _, name := range set["file"] {
			a, err := there.stat("file")
			want(t, err)
			want(t, there.RemoveXattr(t.Context(), a.Ino, name))
		}
		there.drain()
		there.close()
		if got := open(t, bucket, t.TempDir()).xattrs("file"); got != "" {
			t.Errorf("after their removal there are %s", got)
		}
	}
}

// What an object cannot carry is refused when it is set, whatever else is on the object.
func TestXattrsThatDoNotFitAreRefused(t *testing.T) {
	bucket := memory.New(memory.Options{})
	bucket.Set("v/theirs", []byte("theirs"), objstore.Attributes{Metadata: map[string]string{"colour": strings.Repeat("r", 1000)}})
	v := open(t, bucket, t.TempDir())
	want(t, v.write("ours", 0, []byte("ours"), 0))
	room := map[string]int{}
	shown := map[string]string{}
	for _, path := range []string{"ours", "theirs"} {
		var err error
		for size := 0; err == nil; size += 3 {
			room[path] = size
			err = v.setXattr(path, "user.a", strings.Repeat("v", size))
		}
		if !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("%s: %v, want ErrNoSpace", path, err)
		}
		shown[path] = v.xattrs(path)
	}
	if room["ours"] < 1_050 || room["theirs"] < 250 || room["ours"]-room["theirs"] < 700 {
		t.Errorf("there is room for %v bytes", room)
	}
	v.drain()
	there := open(t, bucket, t.TempDir())
	for path, xattrs := range shown {
		if got := there.xattrs(path); got != xattrs {
			t.Errorf("%s has %.100s, want %.100s", path, got, xattrs)
		}
	}
	if obj := bucket.Snapshot()["v/theirs"]; len(obj.Metadata["colour"]) != 1000 {
		t.Errorf("metadata of others has become %v", obj.Metadata)
	}
}

// A directory's default list that cannot be carried twice is not inherited by directories.
func TestInheritedListsMustFit(t *testing.T) {
	v := open(t, memory.New(memory.Options{}), t.TempDir())
	want(t, v.mkdir("dir", 0o755))
	named := strings.Repeat(readable[12:20], 80)
	want(t, v.setXattr("dir", defaultACL, readable[:12]+named+readable[20:]))
	want(t, v.write("dir/file", 0, nil, 0))
	if err := v.mkdir("dir/sub", 0o755); !errors.Is(err, vfs.ErrNoSpace) {
		t.Errorf("mkdir: %v, want ErrNoSpace", err)
	}
	if names, err := v.names("dir"); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("the directory has %q, %v", names, err)
	}
	v.drain()
}

// A list that the kernel could not read would make a file useless to everybody.
func TestGarbageIsNoAccessControlList(t *testing.T) {
	bucket := memory.New(memory.Options{})
	bucket.Set("v/file", nil, objstore.Attributes{Metadata: map[string]string{
		"mode": "33188", "xattr": `{"` + accessACL + `":"eA==","user.a":"eA==","odd":"eA=="}`,
	}})
	v := open(t, bucket, t.TempDir())
	if got := v.xattrs("file"); got != `user.a="x"` {
		t.Errorf("the file has %s", got)
	}
	if _, err := v.getXattr("file", accessACL); !errors.Is(err, vfs.ErrNoXattr) {
		t.Errorf("the list: %v, want ErrNoXattr", err)
	}
	want(t, v.setattr("file", vfs.SetAttr{Mode: new(uint32(0o600))}))
	v.drain()
	if obj := bucket.Snapshot()["v/file"]; !strings.Contains(obj.Metadata["xattr"], "odd") {
		t.Errorf("what is not understood is lost: %v", obj.Metadata)
	}
	if err := v.setXattr("file", accessACL, "x"); !errors.Is(err, vfs.ErrInvalid) {
		t.Errorf("set: %v, want ErrInvalid", err)
	}
}

func TestWritesOfOthersDropCapabilities(t *testing.T) {
	v := open(t, memory.New(memory.Options{}), t.TempDir())
	fh, err := v.open("file", syscall.O_CREAT|syscall.O_RDWR, 0o755)
	want(t, err)
	for _, drop := range []bool{false, true} {
		want(t, v.setXattr("file", "security.capability", "all"))
		if drop {
			a, err := v.stat("file")
			want(t, err)
			want(t, v.DropPriv(t.Context(), a.Ino, root))
		}
		_, err = v.Write(t.Context(), fh, 0, []byte("x"))
		want(t, err)
		if value, err := v.getXattr("file", "security.capability"); (err != nil) != drop {
			t.Errorf("killing %v: %q, %v", drop, value, err)
		}
	}
	v.Release(fh)
}
