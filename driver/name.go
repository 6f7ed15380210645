package driver

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxComponent is what Linux and S3 servers on a file system allow one name, in bytes.
	maxComponent = 255
	// maxPrefix leaves half of S3's 1,024 bytes of a key to the paths of files.
	maxPrefix = 512
)

// validateName refuses what cannot name a volume. The engine checks nothing: whatever the
// user typed arrives here.
func validateName(name string) error {
	switch {
	case name == "":
		return errors.New("the volume's name is empty")
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("volume name %.64q begins with a slash: a path is no volume name", name)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("volume name %.64q contains a NUL byte", name)
	}
	if n := len(escapeName(name)); n > maxComponent {
		return fmt.Errorf("volume name %.64q is too long: %d bytes as a directory name, at most %d", name, n, maxComponent)
	}
	return nil
}

// escapeName spells a volume's name as one harmless component of a path and of a key.
// Letters, digits, "-", "_", "." and everything from U+00A0 on stay as they are; each other
// byte becomes % and two hexadecimal digits, and so does a leading dot: "..", and our own
// ".objvol", name no volume. Different names have different spellings.
//
// The rule must never change: the prefix of a volume is found again by it on another host.
// For that reason it does not ask Unicode tables, which do change.
func escapeName(name string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i, width := 0, 0; i < len(name); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(name[i:])
		if plain(r, width) && (i > 0 || r != '.') {
			b.WriteString(name[i : i+width])
			continue
		}
		for _, c := range []byte(name[i : i+width]) {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// plain reports whether escapeName keeps the rune that was decoded from width bytes.
func plain(r rune, width int) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return true
	case r == utf8.RuneError && width == 1: // not UTF-8
		return false
	}
	return r >= 0xA0
}

// anonymous reports whether the engine made up the name: 64 hexadecimal digits.
func anonymous(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}
