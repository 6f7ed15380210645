package layout

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"objvol/objstore"
)

// maxHost is how much of a host's name a conflict's name shows, in bytes.
const maxHost = 63

// ConflictPath is the path beside a file under which our version of it is kept when the
// bucket's version keeps the name: name.conflict-<host>-<UTC time>. A long name is cut
// at its end until it is short enough escaped, and the whole key too. Errors: ErrNameTooLong when the directory leaves no room, ErrInvalidPath,
// ErrReserved.
func (l Layout) ConflictPath(path, host string, t time.Time) (string, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	prefix, err := l.ListPrefix(dir)
	if err != nil {
		return "", err
	}
	name = conflictName(name, host, t, min(MaxName, objstore.MaxKeyLength-len(prefix)))
	if dir != "" {
		name = dir + "/" + name
	}
	if _, err := l.File(name); err != nil {
		return "", err
	}
	return name, nil
}

// conflictName cuts the stem so that the escaped name has at most limit bytes, if the
// suffix alone has no more.
func conflictName(name, host string, t time.Time, limit int) string {
	suffix := fmt.Sprintf(".conflict-%s-%s", plainHost(host), t.UTC().Format("20060102T150405.000Z"))
	for name != "" && len(Escape(name+suffix)) > limit {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + suffix
}

// plainHost keeps what host names are made of.
func plainHost(host string) string {
	host = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), maxHost)]
}
