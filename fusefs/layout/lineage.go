package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Lineage says which write made an object (hard-cases 6): which host's state, which
// inode and generation, and one particular request. A copy made by another tool carries
// the lineage of its source, but under a key that does not fit Key.
type Lineage struct {
	State string // uuid of the index
	Ino   uint64
	Gen   uint64
	Nonce string // of the request
	Key   string // KeyHash of the key that was written
}

// lineageVersion is the first field of the text form.
const lineageVersion = "1"

// maxToken is the limit of State, Nonce and Key in bytes.
const maxToken = 40

// KeyHash shortens a key for Lineage.Key: 64 bits of its SHA-256 in hexadecimal.
func KeyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// encode returns the text form: version, state, inode, generation, nonce and hash,
// separated by dots.
func (l Lineage) encode() (string, error) {
	for _, token := range []string{l.State, l.Nonce, l.Key} {
		if !isToken(token) {
			return "", fmt.Errorf("lineage: %q is not a token of letters, digits, - and _ of at most %d bytes", token, maxToken)
		}
	}
	return strings.Join([]string{lineageVersion, l.State, decimal(l.Ino), decimal(l.Gen), l.Nonce, l.Key}, "."), nil
}

// parseLineage returns the zero Lineage for everything that encode has not written.
func parseLineage(text string) Lineage {
	fields := strings.Split(text, ".")
	if len(fields) != 6 || fields[0] != lineageVersion || !isToken(fields[1]) || !isToken(fields[4]) || !isToken(fields[5]) {
		return Lineage{}
	}
	ino, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return Lineage{}
	}
	gen, err := strconv.ParseUint(fields[3], 10, 64)
	if err != nil {
		return Lineage{}
	}
	return Lineage{State: fields[1], Ino: ino, Gen: gen, Nonce: fields[4], Key: fields[5]}
}

func isToken(text string) bool {
	if text == "" || len(text) > maxToken {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_')
	}) < 0
}
