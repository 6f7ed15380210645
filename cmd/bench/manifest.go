package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// manifest is what is below a directory or a prefix: the sizes of files in bytes, by path.
// Directories end in a slash.
type manifest map[string]int64

// readManifest walks a directory.
func readManifest(dir string) (manifest, error) {
	m := manifest{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		if entry.IsDir() {
			m[name+"/"] = 0
			return nil
		}
		info, err := entry.Info()
		if err == nil {
			m[name] = info.Size()
		}
		return err
	})
	return m, err
}

// differences are the names, in order, that are not alike in both. Directories that only
// want has are no difference unless markers is set: not everybody writes them.
func (want manifest) differences(got manifest, markers bool) []string {
	var names []string
	for name, size := range want {
		if found, ok := got[name]; (!ok || found != size) && (markers || !strings.HasSuffix(name, "/")) {
			names = append(names, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// forget takes the content of all files below a directory out of the page cache. Names
// and attributes stay.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // nothing was written
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
