package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// longMark begins a name that does not fit into one component. No other component begins
// with an escaped slash.
const longMark = introducer + "2F"

// longChunk is how many hexadecimal digits of a long name one component holds.
const longChunk = 200

// longKey returns the key, in overflow form, of a name in the directory. It ends with the
// escaped name or, where that is too long for a component, with the name in hexadecimal
// digits, spread over components. All of those but the last end in "-", so that no name
// lies below another.
func (f Folder) longKey(name, component string, isDir bool) string {
	limit, end := MaxName, ""
	if isDir {
		limit, end = MaxDirName, "/"
	}
	if len(component) <= limit {
		return f.LongPrefix() + component + end
	}
	digits := hex.EncodeToString([]byte(name))
	var key strings.Builder
	key.WriteString(f.LongPrefix())
	key.WriteString(longMark)
	for len(digits) > longChunk {
		key.WriteString(digits[:longChunk])
		key.WriteString("-/")
		digits = digits[longChunk:]
	}
	key.WriteString(digits)
	key.WriteString(end)
	return key.String()
}

// parseLong reads the end of a key in overflow form, without the slash of a directory.
func parseLong(text string) (name string, hidden Hidden) {
	digits, ok := strings.CutPrefix(text, longMark)
	if !ok {
		if strings.IndexByte(text, '/') >= 0 {
			return "", HiddenForeign
		}
		return Unescape(text)
	}
	bytes, err := hex.DecodeString(strings.ReplaceAll(digits, "-/", ""))
	if err != nil {
		return "", HiddenEscape
	}
	return string(bytes), Shown
}

// longEntry interprets a key in overflow form; rest is what follows the directory's
// prefix.
func (f Folder) longEntry(key, rest string) Entry {
	text, isDir := strings.CutSuffix(rest, "/")
	name, hidden := parseLong(text)
	// Only the one key that a name has shows it: no two keys may claim one name.
	if hidden == Shown && (f.check(name) != nil || strings.IndexByte(name, '/') >= 0 || f.key(name, isDir) != key) {
		hidden = HiddenLong
	}
	if hidden != Shown {
		return Entry{Dir: isDir, Hidden: hidden}
	}
	return Entry{Name: name, Dir: isDir}
}

// IsLong reports whether the key of a file or of a directory's marker is in overflow
// form. Such a key does not tell its path; a listing of the directory shows its name.
func (l Layout) IsLong(key string) bool {
	return IsRecord(key) && strings.HasPrefix(key, l.Records().LongPrefix())
}

// LongBelow is what all keys in overflow form begin with that lie directly in the
// directory with the given marker.
func (l Layout) LongBelow(marker string) string {
	return l.longBelow(l.Records().LongPrefix(), marker)
}

func (l Layout) longBelow(long, marker string) string {
	id := "" // of the root
	if marker != l.prefix && marker != l.Root() {
		if rest, ok := strings.CutPrefix(marker, long); ok {
			id = rest
		} else {
			// The slash keeps it apart from the ends of other keys in overflow form.
			id = "/" + strings.TrimPrefix(marker, l.prefix)
		}
	}
	sum := sha256.Sum256([]byte(id))
	return long + hex.EncodeToString(sum[:]) + "/"
}
