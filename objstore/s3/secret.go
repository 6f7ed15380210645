package s3

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that does not show itself: printed, logged or encoded it is
// "(hidden)", or empty if it is. string(s) gives the value.
type Secret string

// String returns "(hidden)", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString returns what String does, quoted.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// Format prints String for every verb: a wrong verb would print the value itself.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || f.Flag('#') {
		text = `"` + text + `"`
	}
	// A fmt.State does not fail.
	_, _ = io.WriteString(f, text)
}

// LogValue returns String for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns String for encoders, JSON's among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
