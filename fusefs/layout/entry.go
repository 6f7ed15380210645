package layout

import (
	"strings"

	"objvol/objstore"
)

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
	// These depend on more than the key, and are the filesystem's to find.
	HiddenShadowed Hidden = "file beside a directory of its name"
	HiddenContent  Hidden = "directory marker with content"
)

// HiddenReasons are the reasons for which keys of other tools are hidden.
var HiddenReasons = []Hidden{
	HiddenEmpty, HiddenDots, HiddenLong, HiddenBytes, HiddenEscape, HiddenShadowed, HiddenContent,
}

// IsMarker reports whether an object whose key ends in "/" is a directory's marker: it is
// empty, or says of itself that it is a directory. Its metadata is known.
func IsMarker(obj objstore.Object) bool {
	if obj.Size == 0 {
		return true
	}
	mode, ok := parseUint32(obj.Metadata[metaMode], 0)
	return ok && mode&TypeMask == TypeDir
}

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

// Path interprets a key of a flat listing: the path that it stands for, and whether it
// is a directory's marker. It is the inverse of File and Dir for plain keys; the root's
// marker is the directory "".
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
	if isDir && len(Escape(names[len(names)-1])) > MaxDirName {
		return "", isDir, HiddenLong // that marker is in overflow form
	}
	return strings.Join(names, "/"), isDir, Shown
}
