package layout

import (
	"fmt"
	"strings"

	"objvol/objstore"
)

// Folder knows the keys of what lies directly in one directory. It is a value; the way
// down to it was worked out once, for all names in it.
type Folder struct {
	layout Layout
	long   string // Records.LongPrefix
	path   string
	// prefix is what the plain keys in it begin with; deep says that there can be none.
	prefix string
	deep   bool
	// marker is the key of its own marker.
	marker string
}

// Folder returns the directory at a path. Errors: ErrNameTooLong, ErrInvalidPath,
// ErrReserved.
func (l Layout) Folder(path string) (Folder, error) {
	at := Folder{layout: l, long: l.Records().LongPrefix(), prefix: l.prefix, marker: l.Root()}
	if path == "" {
		return at, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := at.check(name); err != nil {
			return Folder{}, err
		}
		at = at.down(name)
	}
	at.path = path
	return at, nil
}

// check says why a name cannot be in a directory.
func (f Folder) check(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("%w: a component %q", ErrInvalidPath, name)
	case f.prefix == "" && !f.deep && name == hiddenName:
		return fmt.Errorf("%w: %q", ErrReserved, name)
	case len(name) > MaxName:
		return fmt.Errorf("%w: %.40q… has %d bytes", ErrNameTooLong, name, len(name))
	}
	return nil
}

// down is the directory of a name in a directory. Its path is not set.
func (f Folder) down(name string) Folder {
	next := f
	component := Escape(name)
	next.deep = f.deep || len(component) > MaxName || len(f.prefix)+len(component) >= objstore.MaxKeyLength
	if !next.deep {
		next.prefix = f.prefix + component + "/"
	}
	if next.deep || len(component) > MaxDirName {
		next.marker = f.longKey(name, component, true)
	} else {
		next.marker = next.prefix
	}
	return next
}

// Sub returns the directory of a name in the directory. Errors: as those of Key.
func (f Folder) Sub(name string) (Folder, error) {
	if err := f.check(name); err != nil {
		return Folder{}, err
	}
	sub := f.down(name)
	sub.path = f.Join(name)
	return sub, nil
}

// key returns the key of a name that is none of those that check refuses.
func (f Folder) key(name string, isDir bool) string {
	if isDir {
		return f.down(name).marker
	}
	component := Escape(name)
	if f.deep || len(component) > MaxName || len(f.prefix)+len(component) > objstore.MaxKeyLength {
		return f.longKey(name, component, false)
	}
	return f.prefix + component
}

// Key returns the key of a name in the directory: of a directory's marker, or of
// anything else. Errors: ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (f Folder) Key(name string, isDir bool) (string, error) {
	if strings.IndexByte(name, '/') >= 0 {
		return "", fmt.Errorf("%w: a component %q", ErrInvalidPath, name)
	}
	if err := f.check(name); err != nil {
		return "", err
	}
	return f.key(name, isDir), nil
}

// Marker is the key of the directory's own marker.
func (f Folder) Marker() string { return f.marker }

// Path is the directory's own path.
func (f Folder) Path() string { return f.path }

// Join returns the path of a name in the directory.
func (f Folder) Join(name string) string {
	if f.path == "" {
		return name
	}
	return f.path + "/" + name
}

// Prefix is what all plain keys in and below the directory begin with. It is false for
// a directory so deep, or with such a name above it, that no key in it can be plain.
func (f Folder) Prefix() (prefix string, ok bool) { return f.prefix, !f.deep }

// LongPrefix is what all keys in overflow form directly in the directory begin with. It
// ends in "/", and follows Records.LongPrefix by one component.
func (f Folder) LongPrefix() string { return f.layout.longBelow(f.long, f.marker) }

// Holds reports whether a key is that of a name directly in the directory.
func (f Folder) Holds(key string) bool {
	if IsRecord(key) && key != f.marker {
		return strings.HasPrefix(key, f.LongPrefix())
	}
	name, ok := strings.CutPrefix(key, f.prefix)
	return ok && !f.deep && name != "" && !strings.Contains(strings.TrimSuffix(name, "/"), "/")
}

// Entry interprets a key, or a common prefix, of a listing of the directory: one with a
// delimiter below Prefix, or a flat one below LongPrefix. Where it shows a name, Key gives
// the key back; but a common prefix can be that of a directory whose marker is in
// overflow form.
func (f Folder) Entry(key string) Entry {
	if rest, ok := strings.CutPrefix(key, f.LongPrefix()); ok {
		return f.longEntry(key, rest)
	}
	rest, ok := strings.CutPrefix(key, f.prefix)
	if !ok || f.deep {
		return Entry{Hidden: HiddenForeign}
	}
	if rest == "" {
		if f.path != "" && key != f.marker {
			return Entry{Dir: true, Hidden: HiddenLong}
		}
		return Entry{Dir: true, Self: true}
	}
	component, isDir := strings.CutSuffix(rest, "/")
	if strings.IndexByte(component, '/') >= 0 {
		return Entry{Dir: isDir, Hidden: HiddenForeign}
	}
	if f.prefix == "" && component == hiddenName {
		return Entry{Dir: isDir, Hidden: HiddenReserved}
	}
	name, hidden := Unescape(component)
	return Entry{Name: name, Dir: isDir, Hidden: hidden}
}
