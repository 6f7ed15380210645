package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"objvol/objstore/objstoretest"
)

// everyByte is a value of an extended attribute.
var everyByte = func() string {
	var value []byte
	for c := range 256 {
		value = append(value, byte(c))
	}
	return string(value)
}()

// wholeXattrs are set by one client and read by another, and changedXattrs are they after
// changeXattrs. s3fs 1.90 does not find its own where a value is empty or a name has a
// colon, and keeps the last one that is removed.
var (
	wholeXattrs = map[string]map[string]string{
		"file": {"user.text": "value", "user.bytes": everyByte, "user.a b/ü%41{}": "odd", "trusted.t": "t"},
		"dir":  {"user.d": "directory", "user.e": "stays"},
	}
	changedXattrs = map[string]map[string]string{
		"file": {"user.text": "another value", "user.bytes": everyByte, "user.new": "+/=", "trusted.t": "t"},
		"dir":  {"user.e": "stays"},
	}
)

func writeXattrs(dir string) error {
	errs := []error{os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600), os.Mkdir(filepath.Join(dir, "dir"), 0o700)}
	for name, xattrs := range wholeXattrs {
		for xattr, value := range xattrs {
			errs = append(errs, unix.Setxattr(filepath.Join(dir, name), xattr, []byte(value), 0))
		}
	}
	return errors.Join(errs...)
}

func changeXattrs(dir string) error {
	file := filepath.Join(dir, "file")
	return errors.Join(
		unix.Setxattr(file, "user.text", []byte("another value"), 0),
		unix.Setxattr(file, "user.new", []byte("+/="), 0),
		unix.Removexattr(file, "user.a b/ü%41{}"),
		unix.Removexattr(filepath.Join(dir, "dir"), "user.d"))
}

func checkXattrs(dir string) error { return compareXattrs(dir, wholeXattrs) }

func checkChangedXattrs(dir string) error { return compareXattrs(dir, changedXattrs) }

// seeChangedXattrs waits for changes of another client.
func seeChangedXattrs(dir string) error {
	return await("the changes", func() error { return checkChangedXattrs(dir) })
}

func compareXattrs(dir string, want map[string]map[string]string) error {
	// What changed on a directory is seen when it is listed.
	_, err := os.ReadDir(filepath.Join(dir, "dir"))
	errs := []error{err}
	for name, xattrs := range want {
		path, buf := filepath.Join(dir, name), make([]byte, 4096)
		n, err := unix.Listxattr(path, buf)
		names := slices.DeleteFunc(strings.Split(string(buf[:max(n, 0)]), "\x00"), func(s string) bool { return s == "" })
		if err != nil || len(names) != len(xattrs) {
			errs = append(errs, fmt.Errorf("%s: has %q, want %d (%w)", name, names, len(xattrs), err))
		}
		for xattr, value := range xattrs {
			n, err := unix.Getxattr(path, xattr, buf)
			if got := string(buf[:max(n, 0)]); err != nil || got != value {
				errs = append(errs, fmt.Errorf("%s: %s is %q, want %q (%w)", name, xattr, got, value, err))
			}
		}
	}
	return errors.Join(errs...)
}

// What s3fs has set objvol reads and changes, and the reverse.
func TestXattrsOfS3FS(t *testing.T) {
	requireS3FS(t)
	s := objstoretest.MinIO(t)
	put(t, s, "shared", nil)
	theirs := specOn(t, s, "theirs", map[string]string{"bucket": "shared"})
	withS3FS(t, s, "shared", "theirs", "write xattrs", "check xattrs")
	withObjvol(t, t.TempDir(), theirs, "check xattrs", "change xattrs", "check changed xattrs")
	withS3FS(t, s, "shared", "theirs", "check changed xattrs")

	ours, state := specOn(t, s, "ours", map[string]string{"bucket": "shared", "ttl": "1s"}), t.TempDir()
	withObjvol(t, state, ours, "write xattrs", "check xattrs")
	withS3FS(t, s, "shared", "ours", "check xattrs", "change xattrs", "check changed xattrs")
	withObjvol(t, state, ours, "see changed xattrs")
	withObjvol(t, t.TempDir(), ours, "check changed xattrs")
}
