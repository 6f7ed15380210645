package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// The objects of TestMetadataOfOtherTools, as files: what each tool says of the time.
var toolFiles = []treeFile{
	{"aws", 0o604, 42, 43, "aws"},
	{"rclone", 0o641, 7, 8, "rclone"},
	{"geesefs", 0o641, 7, 8, "geesefs"},
	{"octal", 0o600, 5, 6, "octal"},
	{"plain", 0o641, 7, 8, "plain"},
}

func checkTools(dir string) error {
	var errs []error
	times := map[string]time.Time{
		"aws": stamp.Truncate(time.Millisecond), "rclone": stamp,
		"geesefs": stamp.Truncate(time.Second), "octal": stamp,
	}
	for _, f := range toolFiles {
		path := filepath.Join(dir, "tools", f.name)
		errs = append(errs, f.check(path))
		info, err := os.Stat(path)
		if want := times[f.name]; err == nil && !want.IsZero() && !info.ModTime().Equal(want) {
			errs = append(errs, fmt.Errorf("%s: time %v, want %v", f.name, info.ModTime(), want))
		}
		if err == nil && f.name == "plain" && time.Since(info.ModTime()).Abs() > time.Hour {
			errs = append(errs, fmt.Errorf("plain: time %v is not that of the object", info.ModTime()))
		}
	}
	return errors.Join(errs...)
}

// What other tools say of mode, owner and time is read where s3fs says nothing.
func TestMetadataOfOtherTools(t *testing.T) {
	s := objstoretest.MinIO(t)
	put(t, s, "foreign", nil)
	const seconds = "1614834367"
	for name, metadata := range map[string][]string{
		"aws":     {"file-permissions: 0604", "file-owner: 42", "file-group: 43", "file-mtime: " + seconds + "123ms"},
		"rclone":  {"mtime: " + seconds + ".123456789"},
		"geesefs": {"mtime: " + seconds},
		"octal":   {"mode: 0100600", "uid: 5", "gid: 6", "mtime: " + seconds + ".123456789"},
		"plain":   nil,
	} {
		for i := range metadata {
			metadata[i] = "x-amz-meta-" + metadata[i]
		}
		put(t, s, "foreign/vol/tools/"+name, []byte(name), metadata...)
	}
	withObjvol(t, t.TempDir(), specOn(t, s, "vol", map[string]string{
		"bucket": "foreign", "uid": "7", "gid": "8", "file-mode": "0641",
	}), "check tools")
}

func changeForeign(dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		os.Chmod(path("mode"), 0o600),
		os.Rename(path("name"), path("renamed")),
		os.WriteFile(path("content"), []byte("rewritten"), 0o600))
}

// Headers and metadata that are not ours stay over a chmod, a rename and a rewrite
// (hard-cases 27).
func TestForeignHeadersAreKept(t *testing.T) {
	s := objstoretest.MinIO(t)
	put(t, s, "foreign", nil)
	for _, name := range []string{"mode", "name", "content"} {
		put(t, s, "foreign/vol/"+name, []byte("first"), "content-type: text/x-test", "cache-control: max-age=77",
			"content-disposition: attachment", "content-language: de", "x-amz-meta-color: blue", "x-amz-meta-md5chksum: hash")
	}
	withObjvol(t, t.TempDir(), specOn(t, s, "vol", map[string]string{"bucket": "foreign"}), "change foreign")
	for name, body := range map[string]string{"mode": "first", "renamed": "first", "content": "rewritten"} {
		wantObject(t, s, "foreign/vol/"+name, []byte(body))
		headers := headersOf(t, s, "foreign/vol/"+name)
		for _, want := range []string{
			"content-type: text/x-test", "cache-control: max-age=77", "content-disposition: attachment",
			"content-language: de", "x-amz-meta-color: blue", "x-amz-meta-mode: ",
		} {
			if !strings.Contains(headers, want) {
				t.Errorf("%s has no %s:\n%s", name, want, headers)
			}
		}
		if kept := strings.Contains(headers, "x-amz-meta-md5chksum: hash"); kept != (body == "first") {
			t.Errorf("%s: the hash of the first content is there: %v", name, kept)
		}
	}
	wantNoObject(t, s, "foreign/vol/name")
}

// await polls in a child until it sees what another client did.
func await(what string, seen func() error) error {
	err := seen()
	for end := time.Now().Add(deadline); err != nil && time.Now().Before(end); err = seen() {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

func wantContent(path, want string) error {
	got, err := os.ReadFile(path)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s is %q", path, got)
	}
	return err
}

func wantGone(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is still there (%w)", path, err)
	}
	return nil
}

// seePut waits for objects by name and in a listing.
func seePut(dir string) error {
	return errors.Join(
		await("put", func() error { return wantContent(filepath.Join(dir, "file"), "first") }),
		await("put in a new directory", func() error { return wantContent(filepath.Join(dir, "new/deep"), "deep") }),
		await("put, in a listing", func() error {
			entries, err := os.ReadDir(dir)
			if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "file" }) {
				err = errors.Join(err, errors.New("not listed"))
			}
			return err
		}))
}

// seeChanged waits for other content and another mode of what seePut has read.
func seeChanged(dir string) error {
	return await("changed", func() error {
		path := filepath.Join(dir, "file")
		info, err := os.Stat(path)
		if err == nil && info.Sys().(*syscall.Stat_t).Mode != syscall.S_IFREG|0o600 {
			err = fmt.Errorf("mode %v", info.Mode())
		}
		return errors.Join(err, wantContent(path, "second version"))
	})
}

func seeDeleted(dir string) error {
	return errors.Join(
		await("deleted", func() error { return wantGone(filepath.Join(dir, "file")) }),
		await("deleted with its directory", func() error { return wantGone(filepath.Join(dir, "new")) }))
}

// What a plain client puts, changes and deletes while the volume is mounted is seen.
func TestPlainClientWhileMounted(t *testing.T) {
	s, dir := objstoretest.MinIO(t), mounttest.Dir(t)
	m := testMounter(t, t.TempDir(), "")
	l := mustMount(t, m, specOn(t, s, "vol", map[string]string{"ttl": "1s"}), dir)
	mounttest.Run(t, dir, "list")
	put(t, s, "objvol/vol/file", []byte("first"))
	put(t, s, "objvol/vol/new/deep", []byte("deep"))
	mounttest.Run(t, dir, "see put")
	put(t, s, "objvol/vol/file", []byte("second version"), "x-amz-meta-mode: 33152")
	mounttest.Run(t, dir, "see changed")
	remove(t, s, "objvol/vol/file")
	remove(t, s, "objvol/vol/new/deep")
	mounttest.Run(t, dir, "see deleted")
	mustUnmount(t, l)
	wantNoObject(t, s, "objvol/vol/file")
	wantNoObject(t, s, "objvol/vol/new/deep")
}
