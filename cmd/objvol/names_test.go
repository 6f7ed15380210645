package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"objvol/objstore/objstoretest"
)

// hardNames are names of files that stores or clients refuse in keys, or mangle.
func hardNames() []string {
	names := []string{" lead", "trail ", ".dot", "dot.", "...", `a\..\b`, "%~41", "%41", "a+b", "a#b", "a?b", "__XLDIR__", ".sgwtmp", "é", "\xc3", "a\nb"}
	for _, c := range []string{"\xff", "\x01", "\n", "\\", "%", "+", "#", "?", " ", ".", "n"} {
		names = append(names, strings.Repeat(c, 255))
	}
	slices.Sort(names)
	return names
}

// deepDirs is how many directories of 15 bytes lie in each other: paths of 4,095 bytes.
const deepDirs = 256

func deepDir(i int) string { return fmt.Sprintf("deep-%010d", i) }

// enter is chdir(2), again after each signal that the runtime sends itself.
func enter(dir string) error {
	for {
		if err := os.Chdir(dir); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func makeNames(dir string) error {
	err := errors.Join(os.Mkdir(filepath.Join(dir, "files"), 0o755), os.Mkdir(filepath.Join(dir, "dirs"), 0o755))
	for i, name := range hardNames() {
		err = errors.Join(err,
			os.WriteFile(filepath.Join(dir, "files", name), fmt.Append(nil, "file ", i), 0o640),
			os.Mkdir(dir+"/dirs/"+name, 0o711),
			os.WriteFile(dir+"/dirs/"+name+"/"+name, fmt.Append(nil, "below ", i), 0o604))
	}
	err = errors.Join(err, os.Chdir(dir))
	for i := range deepDirs {
		err = errors.Join(err, os.Mkdir(deepDir(i), 0o711), enter(deepDir(i)))
	}
	return errors.Join(err, os.WriteFile("f", []byte("deep"), 0o604))
}

func checkHardNames(dir string) error {
	var errs []error
	content := func(path, want string) {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			errs = append(errs, fmt.Errorf("%.300q is %q: %w", path, got, err))
		}
	}
	for _, sub := range []string{"files", "dirs"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if slices.Sort(names); err != nil || !slices.Equal(names, hardNames()) {
			errs = append(errs, fmt.Errorf("%s lists %q: %w", sub, names, err))
		}
	}
	for i, name := range hardNames() {
		content(dir+"/files/"+name, fmt.Sprint("file ", i))
		content(dir+"/dirs/"+name+"/"+name, fmt.Sprint("below ", i))
		if info, err := os.Stat(dir + "/dirs/" + name); err != nil || info.Mode().Perm() != 0o711 {
			errs = append(errs, fmt.Errorf("directory %.20q…: %v, %w", name, info, err))
		}
	}
	errs = append(errs, os.Chdir(dir))
	for i := range deepDirs {
		errs = append(errs, enter(deepDir(i)))
	}
	content("f", "deep")
	return errors.Join(errs...)
}

// removeNames removes everything that is shown.
func removeNames(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(err, noNames(dir))
}

func noNames(dir string) error {
	left, err := os.ReadDir(dir)
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("%v are shown", left))
	}
	return err
}

// Every name and the longest paths are there on a host that never saw them; what another
// client made that cannot be shown is there when all that can be is removed.
func TestNamesOnMinIO(t *testing.T) {
	s := objstoretest.MinIO(t)
	put(t, s, "foreign", nil)
	hidden := []string{"foreign/vol/dirs/.sgwtmp/x", "foreign/vol/.sgwtmp", "foreign/vol/marked/"}
	for _, path := range hidden {
		// To a name that ends in "/", curl would add that of an uploaded file.
		if status, answer := curlWith(t, s, path, "--request", "PUT", "--data-binary", "of "+path, "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"); status != "200" {
			t.Fatalf("put %s: status %s, %s", path, status, answer)
		}
	}
	put(t, s, "foreign/vol/marked/shown", []byte("shown"))
	spec := specOn(t, s, "vol", map[string]string{"bucket": "foreign"})
	withObjvol(t, t.TempDir(), spec, "names: make")
	withObjvol(t, t.TempDir(), spec, "names: check", "names: remove")
	withObjvol(t, t.TempDir(), spec, "names: none")
	for _, path := range hidden {
		wantObject(t, s, path, []byte("of "+path))
	}
	wantNoObject(t, s, "foreign/vol/marked/shown")
	wantNoObject(t, s, "foreign/vol/files/")
}
