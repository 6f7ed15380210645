package layout

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"objvol/objstore"
)

// The extended attributes of an inode are one piece of metadata, as s3fs writes them:
//
//	{"user.a":"dmFsdWU=","user.b":""}
//
// with the values in base64, and all of it percent-encoded but for letters, digits and
// "-_.~/". It is no JSON: s3fs knows no escapes, and takes a comma for the next pair and
// a quotation mark for the end, wherever they are. In a name they are escaped as in keys,
// by "%~" and two digits (s3fs shows them so), and so is the "%" of what would read as
// an escape.

// maxXattrName is the longest name of an extended attribute, in bytes (XATTR_NAME_MAX).
const maxXattrName = 255

// Fits reports, by ErrTooLarge, that an inode's extended attributes and foreign metadata
// leave no room for its other attributes. Metadata that fits can be encoded whatever
// those become.
func Fits(attr Attr, foreign Foreign) error {
	_, err := attr.beside(foreign, false)
	return err
}

// beside returns the foreign metadata that is kept and the extended attributes. The
// extended attributes take the place of foreign ones that could not be read.
func (a Attr) beside(foreign Foreign, changed bool) (map[string]string, error) {
	metadata := make(map[string]string, len(foreign.Metadata)+8)
	for name, value := range foreign.Metadata {
		if !attributeNames[name] && !(changed && isContentHash(name)) {
			metadata[name] = value
		}
	}
	if len(a.Xattrs) > 0 {
		metadata[metaXattr] = encodeXattrs(a.Xattrs)
	}
	if size := metadataSize(metadata); size+Reserve > objstore.MaxMetadata {
		return nil, fmt.Errorf("%w: foreign metadata and extended attributes of %d bytes, %d are left", ErrTooLarge, size, objstore.MaxMetadata-Reserve)
	}
	return metadata, nil
}

func encodeXattrs(xattrs map[string]string) string {
	var out strings.Builder
	separator := `{`
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		out.WriteString(separator + `"` + escapeXattr(name) + `":"`)
		out.WriteString(base64.StdEncoding.EncodeToString([]byte(xattrs[name])) + `"`)
		separator = `,`
	}
	out.WriteString(`}`)
	return percentEncode(out.String())
}

// decodeXattrs reads what encodeXattrs or s3fs wrote. It reads all or nothing: of a text
// that is not wholly understood no part is believed, so that none is lost when the rest
// is written again. No attributes are nil.
func decodeXattrs(text string) (xattrs map[string]string, ok bool) {
	text, err := url.PathUnescape(text)
	if err != nil {
		return nil, false
	}
	if text == "" || text == "{}" {
		return nil, true
	}
	text, opened := strings.CutPrefix(text, `{`)
	text, closed := strings.CutSuffix(text, `}`)
	if !opened || !closed {
		return nil, false
	}
	xattrs = make(map[string]string)
	for pair := range strings.SplitSeq(text, `,`) {
		name, value, ok := decodeXattr(pair)
		if _, twice := xattrs[name]; !ok || twice {
			return nil, false
		}
		xattrs[name] = value
	}
	return xattrs, true
}

func readableXattrs(text string) bool {
	_, ok := decodeXattrs(text)
	return ok
}

// decodeXattr reads one pair. The last colon parts it: base64 has none.
func decodeXattr(pair string) (name, value string, ok bool) {
	at := strings.LastIndexByte(pair, ':')
	if at < 0 {
		return "", "", false
	}
	quotedName, nameOK := unquote(pair[:at])
	quotedValue, valueOK := unquote(pair[at+1:])
	// A name that we would have escaped otherwise is another program's, and means itself.
	if name = decode(quotedName); escapeXattr(name) != quotedName {
		name = quotedName
	}
	if !nameOK || !valueOK || name == "" || len(name) > maxXattrName || strings.IndexByte(name, 0) >= 0 {
		return "", "", false
	}
	bytes, err := base64.StdEncoding.Strict().DecodeString(quotedValue)
	if err != nil || strings.ContainsAny(quotedValue, "\r\n") {
		return "", "", false
	}
	return name, string(bytes), true
}

// unquote takes the quotation marks off a text that has none inside.
func unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", false
	}
	text = text[1 : len(text)-1]
	return text, strings.IndexByte(text, '"') < 0
}

// escapeXattr escapes what a name cannot have in it. It is injective.
func escapeXattr(name string) string {
	var out strings.Builder
	for i := range len(name) {
		if c := name[i]; c != '"' && c != ',' && !isEscape(name[i:]) {
			out.WriteByte(c)
			continue
		}
		out.WriteString(introducer)
		out.WriteByte(upperHex[name[i]>>4])
		out.WriteByte(upperHex[name[i]&15])
	}
	return out.String()
}

// percentEncode leaves the characters as they are that s3fs does.
func percentEncode(text string) string {
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~/", c) >= 0:
			out.WriteByte(c)
		default:
			out.WriteByte('%')
			out.WriteByte(upperHex[c>>4])
			out.WriteByte(upperHex[c&15])
		}
	}
	return out.String()
}
