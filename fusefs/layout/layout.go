package layout

import (
	"errors"
	"fmt"
	"strings"

	"objvol/objstore"
)

// What a path or a prefix cannot be. Every error of this package wraps one of its
// sentinels.
var (
	// ErrNameTooLong: a component of the path is longer than MaxName.
	ErrNameTooLong = errors.New("name too long")
	// ErrInvalidPath: an empty, "." or ".." component, or a NUL.
	ErrInvalidPath = errors.New("not a path of a volume")
	// ErrReserved: the path lies in the hidden folder (volumes at an empty prefix only).
	ErrReserved = errors.New("reserved for objvol's own records")
	// ErrInvalidPrefix: a volume cannot lie at this prefix.
	ErrInvalidPrefix = errors.New("not a prefix for a volume")
)

// Limits of one component, in bytes: a name has no more on Linux, and an escaped one not
// in a key, because stores that keep objects as files refuse it (hard-cases 28). MinIO
// appends nine bytes to the name of a marker.
const (
	MaxName    = 255
	MaxDirName = MaxName - len(minioDirSuffix)
)

// maxPrefix leaves room for names behind a volume's prefix, in bytes.
const maxPrefix = objstore.MaxKeyLength - MaxName - 1

// Layout knows the keys of one volume. It is a value without state: copy it freely.
// Paths are relative to the volume's root, their components are raw names joined by
// "/", and the root is "".
type Layout struct {
	prefix string // "" or ends in "/"
}

// New returns the layout of the volume at a prefix of the bucket. "v" and "v/" are the
// same volume; "" is the whole bucket. Errors: ErrInvalidPrefix.
func New(prefix string) (Layout, error) {
	if prefix == "" {
		return Layout{}, nil
	}
	bare := strings.TrimSuffix(prefix, "/")
	if len(bare) >= maxPrefix {
		return Layout{}, fmt.Errorf("%w: %.40q… has %d bytes, the limit is %d", ErrInvalidPrefix, bare, len(bare), maxPrefix-1)
	}
	for i, component := range strings.Split(bare, "/") {
		if _, hidden := Unescape(component); hidden != Shown {
			return Layout{}, fmt.Errorf("%w: %q has a component %q (%s)", ErrInvalidPrefix, prefix, component, hidden)
		}
		if len(component) > MaxDirName {
			return Layout{}, fmt.Errorf("%w: %q has a component of more than %d bytes", ErrInvalidPrefix, prefix, MaxDirName)
		}
		if i == 0 && component == hiddenName {
			return Layout{}, fmt.Errorf("%w: %q is where objvol keeps its records", ErrInvalidPrefix, prefix)
		}
	}
	return Layout{prefix: bare + "/"}, nil
}

// Prefix returns the prefix in its normal form: empty, or ending in "/".
func (l Layout) Prefix() string { return l.prefix }

// Root returns the key of the root directory's marker. At an empty prefix that is a
// hidden record.
func (l Layout) Root() string {
	if l.prefix == "" {
		return l.Records().root()
	}
	return l.prefix
}

// File returns the key of a file, a symlink or a special file.
// Errors: ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (l Layout) File(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("%w: the root is no file", ErrInvalidPath)
	}
	return l.key(path, false)
}

// Dir returns the key of a directory's marker; Dir("") is Root.
// Errors: ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (l Layout) Dir(path string) (string, error) {
	if path == "" {
		return l.Root(), nil
	}
	return l.key(path, true)
}

func (l Layout) key(path string, isDir bool) (string, error) {
	dir, name := Split(path)
	if dir == "" && len(name) != len(path) {
		return "", fmt.Errorf("%w: %q", ErrInvalidPath, path)
	}
	f, err := l.Folder(dir)
	if err != nil {
		return "", err
	}
	return f.Key(name, isDir)
}

// Split returns the directory and the last name of a path.
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
