package memory

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"objvol/objstore"
)

// headers are the names that Attributes.Headers may hold.
var headers = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

func validKey(key string) error {
	if key == "" || len(key) > objstore.MaxKeyLength || !utf8.ValidString(key) {
		return fmt.Errorf("%w: a key of %d bytes", objstore.ErrInvalid, len(key))
	}
	return nil
}

func validAttributes(attrs objstore.Attributes) error {
	size := 0
	for name, value := range attrs.Metadata {
		size += len(name) + len(value)
		if name == "" || name != strings.ToLower(name) || strings.ContainsFunc(name, notToken) {
			return fmt.Errorf("%w: metadata name %q", objstore.ErrInvalid, name)
		}
		// HTTP drops spaces around a value.
		if value != strings.TrimSpace(value) || strings.ContainsFunc(value, notPrintable) {
			return fmt.Errorf("%w: value of metadata %q", objstore.ErrInvalid, name)
		}
	}
	if size > objstore.MaxMetadata {
		return fmt.Errorf("%w: %d bytes of metadata", objstore.ErrInvalid, size)
	}
	for name := range attrs.Headers {
		if !slices.Contains(headers, name) {
			return fmt.Errorf("%w: header %q", objstore.ErrInvalid, name)
		}
	}
	return nil
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }

// notToken says that a character cannot be in a header's name (RFC 9110, 5.6.2).
func notToken(c rune) bool {
	return notPrintable(c) || strings.ContainsRune(" \"(),/:;<=>?@[\\]{}", c)
}
