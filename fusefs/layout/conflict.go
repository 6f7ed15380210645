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
// bucket's version keeps the name: name.conflict-<host>-<UTC time>. A long name is cut at
// its end until the key is a plain one, if the directory leaves room for that. Errors:
// ErrNameTooLong, ErrInvalidPath, ErrReserved.
func (l Layout) ConflictPath(path, host string, t time.Time) (string, error) {
	dir, name := Split(path)
	f, err := l.Folder(dir)
	if err != nil {
		return "", err
	}
	suffix := fmt.Sprintf(".conflict-%s-%s", plainHost(host), t.UTC().Format("20060102T150405.000Z"))
	limit := MaxName
	if room := objstore.MaxKeyLength - len(f.prefix); !f.deep && room > len(suffix) {
		limit = min(limit, room)
	}
	return f.Join(cutStem(name, suffix, limit)), nil
}

// cutStem cuts a name so that it and the suffix, escaped, have at most limit bytes, if the
// suffix alone has no more.
func cutStem(name, suffix string, limit int) string {
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
