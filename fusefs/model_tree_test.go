package fusefs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fileFacts is all that a name of a tree says.
type fileFacts struct {
	words        string // what is the same in two trees of one history
	mtime, ctime int64  // nanoseconds
}

// readTree reads all of a tree, the directory itself among it.
func readTree(dir string) (map[string]fileFacts, error) {
	all, inodes := map[string]fileFacts{}, map[string]uint64{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("stat %s: %w", name, err)
		}
		what, err := contentOf(path, &st)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		all[name] = fileFacts{statWords(&st) + what, st.Mtim.Nano(), st.Ctim.Nano()}
		inodes[name] = st.Ino
		return nil
	})
	if err != nil {
		return nil, err
	}
	first := map[uint64]string{}
	for _, name := range slices.Sorted(maps.Keys(inodes)) {
		if _, ok := first[inodes[name]]; !ok {
			first[inodes[name]] = name
		}
		e := all[name]
		e.words += " is " + first[inodes[name]]
		all[name] = e
	}
	return all, nil
}

// contentOf is what a file holds: bytes, a target, extended attributes.
func contentOf(path string, st *unix.Stat_t) (string, error) {
	var words strings.Builder
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if _, err := os.ReadDir(path); err != nil {
			return "", err
		}
		if err := unix.Lstat(path, st); err != nil {
			return "", err
		}
		fmt.Fprintf(&words, " links %d", st.Nlink)
	case unix.S_IFREG:
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		words.WriteString(digest(data))
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		words.WriteString(" to " + target)
	}
	names, err := xattrNames(path)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		buf := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, buf)
		if err != nil {
			return "", err
		}
		words.WriteString(" " + name + digest(buf[:n]))
	}
	return words.String(), nil
}

// sameTimes are times that were given, and so are the same in two trees that do not share
// a clock, or times after since, when both were made.
func sameTimes(a, b, since int64) bool {
	return a == b || a >= since && b >= since
}

// compareTrees says how trees differ. With since 0 their times are the same.
func compareTrees(got, want map[string]fileFacts, since int64) error {
	var errs []error
	names := maps.Clone(want)
	maps.Copy(names, got)
	exact := func(a, b int64) bool { return a == b }
	if since != 0 {
		exact = func(a, b int64) bool { return sameTimes(a, b, since) }
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		g, inGot := got[name]
		w, inWant := want[name]
		switch {
		case !inGot:
			errs = append(errs, fmt.Errorf("%.40q is missing: %s", name, w.words))
		case !inWant:
			errs = append(errs, fmt.Errorf("%.40q should not be there: %s", name, g.words))
		case g.words != w.words:
			errs = append(errs, fmt.Errorf("%.40q is %s, want %s", name, g.words, w.words))
		case !exact(g.mtime, w.mtime):
			errs = append(errs, fmt.Errorf("%.40q has mtime %d, want %d", name, g.mtime, w.mtime))
		case !exact(g.ctime, w.ctime):
			errs = append(errs, fmt.Errorf("%.40q has ctime %d, want %d", name, g.ctime, w.ctime))
		}
	}
	return errors.Join(errs...)
}
