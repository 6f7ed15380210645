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
	// ErrNameTooLong: a component of the path is longer than MaxName when escaped, or
	// the whole key is longer than objstore.MaxKeyLength.
	ErrNameTooLong = errors.New("name too long for a key")
	// ErrInvalidPath: an empty, "." or ".." component, or a NUL.
	ErrInvalidPath = errors.New("not a path of a volume")
	// ErrReserved: the path lies in the hidden folder (volumes at an empty prefix only).
	ErrReserved = errors.New("reserved for objvol's own records")
	// ErrInvalidPrefix: a volume cannot lie at this prefix.
	ErrInvalidPrefix = errors.New("not a prefix for a volume")
)

// Limits of one escaped component, in bytes: stores that keep objects as files refuse
// longer ones (hard-cases 28). MinIO appends nine bytes to the name of a marker.
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
	return l.key(path, "", MaxName)
}

// Dir returns the key of a directory's marker; Dir("") is Root. A directory whose
// escaped name has more than MaxDirName bytes can exist without a marker only.
// Errors: ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (l Layout) Dir(path string) (string, error) {
	if path == "" {
		return l.Root(), nil
	}
	return l.key(path, "/", MaxDirName)
}

// ListPrefix returns what the keys of everything in a directory begin with.
// Errors: ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (l Layout) ListPrefix(path string) (string, error) {
	if path == "" {
		return l.prefix, nil
	}
	return l.key(path, "/", MaxName)
}

// key escapes a path that is not empty and adds the end, "" or "/". The last component
// has at most limit bytes.
func (l Layout) key(path, end string, limit int) (string, error) {
	var key strings.Builder
	key.Grow(len(l.prefix) + len(path) + len(end))
	key.WriteString(l.prefix)
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return "", fmt.Errorf("%w: %q", ErrInvalidPath, path)
		}
		if l.prefix == "" && key.Len() == 0 && name == hiddenName {
			return "", fmt.Errorf("%w: %q", ErrReserved, path)
		}
		component := Escape(name)
		if len(component) > MaxName || !more && len(component) > limit {
			return "", fmt.Errorf("%w: %.40q… has %d bytes when escaped", ErrNameTooLong, name, len(component))
		}
		key.WriteString(component)
		if more {
			key.WriteByte('/')
		}
	}
	key.WriteString(end)
	if key.Len() > objstore.MaxKeyLength {
		return "", fmt.Errorf("%w: the key of %.40q… has %d bytes, the limit is %d", ErrNameTooLong, path, key.Len(), objstore.MaxKeyLength)
	}
	return key.String(), nil
}
