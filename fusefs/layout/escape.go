package layout

import (
	"strings"
	"unicode/utf8"
)

// introducer begins an escape: it and two upper-case hexadecimal digits are one byte.
const introducer = "%~"

const upperHex = "0123456789ABCDEF"

// minioDirSuffix is how MinIO spells the "/" at the end of a key on its disk.
const minioDirSuffix = "__XLDIR__"

// versityScratch is where versitygw, the embedded store, keeps unfinished objects: at the
// top of a bucket, unseen in listings (hard-cases 25).
const versityScratch = ".sgwtmp"

// Escape makes a component of a key out of a name. It is the identity for every name
// that every key can carry; what some store or client refuses or mangles is escaped byte
// by byte (the list is in doc.go). Escape is injective; the empty name has no escape and
// stays empty.
func Escape(name string) string {
	marks := unfit(name)
	if marks == nil {
		return name
	}
	var out strings.Builder
	out.Grow(len(name) + len(introducer) + 2)
	for i := range len(name) {
		if !marks[i] {
			out.WriteByte(name[i])
			continue
		}
		out.WriteString(introducer)
		out.WriteByte(upperHex[name[i]>>4])
		out.WriteByte(upperHex[name[i]&15])
	}
	return out.String()
}

// Unescape returns the name that a component of a key stands for, or why a filesystem
// cannot show it. Where it is Shown, Escape gives the component back: an escape that we
// would not have written is no name of ours, and showing it decoded would let two keys
// claim one name.
func Unescape(component string) (name string, hidden Hidden) {
	switch {
	case component == "":
		return "", HiddenEmpty
	case len(component) > MaxName:
		return "", HiddenLong
	}
	name = decode(component)
	switch {
	case name == "." || name == "..":
		return "", HiddenDots
	case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '/') >= 0:
		return "", HiddenBytes
	case Escape(name) != component:
		return "", HiddenEscape
	}
	return name, Shown
}

// decode replaces every escape by its byte.
func decode(component string) string {
	at := strings.Index(component, introducer)
	if at < 0 {
		return component
	}
	out := make([]byte, 0, len(component))
	for rest := component; ; at = strings.Index(rest, introducer) {
		if at < 0 {
			return string(append(out, rest...))
		}
		out = append(out, rest[:at]...)
		rest = rest[at:]
		if !isEscape(rest) {
			out = append(out, introducer...)
			rest = rest[len(introducer):]
			continue
		}
		out = append(out, unhex(rest[2])<<4|unhex(rest[3]))
		rest = rest[4:]
	}
}

// isEscape reports whether text begins with the introducer and two upper-case digits.
func isEscape(text string) bool {
	return len(text) >= 4 && text[:2] == introducer &&
		strings.IndexByte(upperHex, text[2]) >= 0 && strings.IndexByte(upperHex, text[3]) >= 0
}

func unhex(digit byte) byte { return byte(strings.IndexByte(upperHex, digit)) }

// set are the bytes of a name that must be escaped; nil is none.
type set []bool

// mark puts n bytes into the set of a name.
func (s *set) mark(name string, from, n int) {
	if *s == nil {
		*s = make(set, len(name))
	}
	for i := range n {
		(*s)[from+i] = true
	}
}

// unfit returns the bytes of a name that some store or client refuses or mangles.
func unfit(name string) set {
	var marks set
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 || r == '/' || !isXML(r) || isEscape(name[i:]) {
			marks.mark(name, i, n)
		}
		i += n
	}
	// A key of blanks alone counts as empty in minio-go.
	if name != "" && strings.TrimSpace(name) == "" {
		_, n := utf8.DecodeRuneInString(name)
		marks.mark(name, 0, n)
	}
	// MinIO looks for dot components between backslashes too, and behind blanks.
	for from := 0; from <= len(name); {
		part, _, _ := strings.Cut(name[from:], `\`)
		if bare := strings.TrimSpace(part); bare == "." || bare == ".." {
			marks.mark(name, from+strings.IndexByte(part, '.'), 1)
		}
		from += len(part) + 1
	}
	// MinIO would list it as a directory.
	if strings.HasSuffix(name, minioDirSuffix) {
		marks.mark(name, len(name)-1, 1)
	}
	if name == versityScratch {
		marks.mark(name, 0, 1)
	}
	return marks
}

// isXML reports whether XML 1.0 has a character. Listings are XML, and not every
// store heeds the request to encode the keys in them.
func isXML(r rune) bool {
	return r >= 0x20 && r != 0xFFFE && r != 0xFFFF || r == '\t' || r == '\n' || r == '\r'
}
