package layout

import "strings"

// Hidden says why a key of a listing is not shown as a name. The zero value is a key
// that is shown.
type Hidden string

// The reasons to hide a key. They are fixed words, fit for logs and metric labels.
const (
	Shown          Hidden = ""
	HiddenForeign  Hidden = "outside the directory"
	HiddenEmpty    Hidden = "empty component"
	HiddenDots     Hidden = "component . or .."
	HiddenLong     Hidden = "component too long"
	HiddenBytes    Hidden = "component with NUL or slash"
	HiddenEscape   Hidden = "component that we would escape otherwise"
	HiddenReserved Hidden = "objvol's records"
)

// Entry is what one object or common prefix of a listing means in a directory.
type Entry struct {
	// Name is the raw name in the directory. It is empty for the directory's own
	// marker and for what is hidden.
	Name string
	// Dir: the key ends in "/": a marker, or a common prefix.
	Dir bool
	// Self: the key is the marker of the listed directory.
	Self   bool
	Hidden Hidden
}

// Entry interprets a key, or a common prefix, of a delimiter listing below
// ListPrefix(dir). Where it shows a name, File or ListPrefix of that name give the
// key back.
func (l Layout) Entry(dir, key string) Entry {
	prefix, err := l.ListPrefix(dir)
	if err != nil || !strings.HasPrefix(key, prefix) {
		return Entry{Hidden: HiddenForeign}
	}
	rest := key[len(prefix):]
	if rest == "" {
		return Entry{Dir: true, Self: true}
	}
	component, isDir := strings.CutSuffix(rest, "/")
	if strings.IndexByte(component, '/') >= 0 {
		return Entry{Dir: isDir, Hidden: HiddenForeign}
	}
	if prefix == "" && component == hiddenName {
		return Entry{Dir: isDir, Hidden: HiddenReserved}
	}
	name, hidden := Unescape(component)
	return Entry{Name: name, Dir: isDir, Hidden: hidden}
}

// Path interprets a key of a flat listing: the path that it stands for, and whether it
// is a directory's marker. It is the inverse of File and Dir; the root's marker is the
// directory "".
func (l Layout) Path(key string) (path string, isDir bool, hidden Hidden) {
	if key == l.Root() {
		return "", true, Shown
	}
	rest, ok := strings.CutPrefix(key, l.prefix)
	if !ok {
		return "", false, HiddenForeign
	}
	rest, isDir = strings.CutSuffix(rest, "/")
	names := strings.Split(rest, "/")
	if l.prefix == "" && names[0] == hiddenName {
		return "", isDir, HiddenReserved
	}
	for i, component := range names {
		if names[i], hidden = Unescape(component); hidden != Shown {
			return "", isDir, hidden
		}
	}
	return strings.Join(names, "/"), isDir, Shown
}
