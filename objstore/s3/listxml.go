package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
)

// decodeListing reads the answer to a listing. Of 1,000 objects with their metadata it has
// more than 10,000 elements, for which encoding/xml takes longer than all else that is
// done with them. So what stores really send is read by a scanner that knows only that;
// whatever it does not expect makes it stop, and encoding/xml reads, or refuses, the whole.
func decodeListing(r io.Reader) (minio.ListBucketV2Result, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return minio.ListBucketV2Result{}, err
	}
	if result, ok := scanListing(body); ok {
		return result, nil
	}
	var result minio.ListBucketV2Result
	return result, xml.NewDecoder(bytes.NewReader(body)).Decode(&result)
}

// scanListing is false for what it does not expect.
func scanListing(body []byte) (result minio.ListBucketV2Result, ok bool) {
	s := scanner{rest: body, names: make(map[string]string)}
	// encoding/xml changes line ends and refuses characters that are not XML's.
	if !plain(body) || !s.prolog() || s.open() != "ListBucketResult" || s.empty {
		return result, false
	}
	for !s.failed {
		switch name := s.open(); name {
		case "":
			s.close("ListBucketResult")
			s.space()
			return result, !s.failed && len(s.rest) == 0
		case "Contents":
			result.Contents = append(result.Contents, s.object())
		case "CommonPrefixes":
			result.CommonPrefixes = append(result.CommonPrefixes, s.commonPrefix())
		case "IsTruncated":
			text := strings.TrimSpace(s.leaf(name))
			result.IsTruncated = text == "true"
			s.failed = s.failed || text != "true" && text != "false"
		case "NextContinuationToken":
			result.NextContinuationToken = s.leaf(name)
		case "EncodingType":
			result.EncodingType = s.leaf(name)
		default:
			s.skip(name)
		}
	}
	return result, false
}

// plain reports whether a text has no character that XML treats in a way of its own.
func plain(text []byte) bool {
	if !utf8.Valid(text) || bytes.Contains(text, []byte("\uFFFE")) || bytes.Contains(text, []byte("\uFFFF")) {
		return false
	}
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// scanner reads XML as S3's servers write it. After the first thing that it does not
// expect it has failed for good, and reads nothing more.
type scanner struct {
	rest   []byte
	failed bool
	empty  bool              // the element that was opened last has no end of its own
	names  map[string]string // of elements, so that each is a string once
}

func (s *scanner) fail() string {
	s.failed, s.rest = true, nil
	return ""
}

func (s *scanner) space() { s.rest = bytes.TrimLeft(s.rest, " \t\n") }

// prolog passes the declaration.
func (s *scanner) prolog() bool {
	const begin, utf = `<?xml version="1.0" encoding="`, `UTF-8"`
	s.space()
	if !bytes.HasPrefix(s.rest, []byte("<?")) {
		return true
	}
	end := bytes.Index(s.rest, []byte("?>"))
	if end < len(begin)+len(utf) || string(s.rest[:len(begin)]) != begin || !strings.EqualFold(string(s.rest[len(begin):len(begin)+len(utf)]), utf) {
		return false
	}
	s.rest = s.rest[end+2:]
	return true
}

// open passes the beginning of the next element and returns its name; empty at the end of
// the one around it.
func (s *scanner) open() string {
	s.space()
	if len(s.rest) < 2 || s.rest[0] != '<' {
		return s.fail()
	}
	if s.rest[1] == '/' {
		return ""
	}
	end := bytes.IndexByte(s.rest, '>')
	if end < 0 {
		return s.fail()
	}
	tag := s.rest[1:end]
	s.rest = s.rest[end+1:]
	if s.empty = len(tag) > 0 && tag[len(tag)-1] == '/'; s.empty {
		tag = tag[:len(tag)-1]
	}
	if at := bytes.IndexByte(tag, ' '); at >= 0 {
		if !attributes(tag[at:]) {
			return s.fail()
		}
		tag = tag[:at]
	}
	return s.name(tag)
}

// attributes reports whether a text is one namespace, or nothing. Others mean nothing
// either, but might be written in ways that end elsewhere than at the next bracket.
func attributes(text []byte) bool {
	text = bytes.TrimSpace(text)
	rest, ok := bytes.CutPrefix(text, []byte(`xmlns="`))
	return len(text) == 0 || ok && len(rest) > 0 && bytes.IndexByte(rest, '"') == len(rest)-1 && !bytes.ContainsAny(rest, "<&")
}

// name makes a string of an element's name.
func (s *scanner) name(tag []byte) string {
	if name, ok := s.names[string(tag)]; ok {
		return name
	}
	for i, c := range tag {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return s.fail()
		}
	}
	if len(tag) == 0 {
		return s.fail()
	}
	name := string(tag)
	s.names[name] = name
	return name
}

// close passes the end of an element.
func (s *scanner) close(name string) {
	s.space()
	if s.empty {
		s.empty = false
		return
	}
	n := len("</") + len(name)
	if len(s.rest) <= n || string(s.rest[:2]) != "</" || string(s.rest[2:n]) != name || s.rest[n] != '>' {
		s.fail()
		return
	}
	s.rest = s.rest[n+1:]
}

// leaf returns the text of an element that has no others in it, and passes its end.
func (s *scanner) leaf(name string) string {
	if s.empty {
		s.empty = false
		return ""
	}
	end := bytes.IndexByte(s.rest, '<')
	if end < 0 {
		return s.fail()
	}
	text := s.rest[:end]
	s.rest = s.rest[end:]
	s.close(name)
	if bytes.IndexByte(text, '&') < 0 {
		if bytes.Contains(text, []byte("]]>")) {
			return s.fail()
		}
		return string(text)
	}
	return s.unescape(text)
}

// entities are the ones that servers use.
var entities = map[string]string{
	"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'",
	"#34": `"`, "#39": "'", "#38": "&", "#60": "<", "#62": ">", "#x9": "\t", "#xA": "\n", "#xD": "\r",
}

func (s *scanner) unescape(text []byte) string {
	var b strings.Builder
	for {
		at := bytes.IndexByte(text, '&')
		if at < 0 {
			b.Write(text)
			return b.String()
		}
		b.Write(text[:at])
		name, rest, found := bytes.Cut(text[at+1:], []byte(";"))
		char, known := entities[string(name)]
		if !found || !known {
			return s.fail()
		}
		b.WriteString(char)
		text = rest
	}
}

// skip passes an element that nobody asks for.
func (s *scanner) skip(name string) {
	if s.empty {
		s.empty = false
		return
	}
	for !s.failed {
		end := bytes.IndexByte(s.rest, '<')
		if end < 0 {
			s.fail()
			return
		}
		if bytes.IndexByte(s.rest[:end], '&') >= 0 || bytes.Contains(s.rest[:end], []byte("]]>")) {
			s.fail() // it may be malformed
			return
		}
		s.rest = s.rest[end:]
		inner := s.open()
		if inner == "" {
			s.close(name)
			return
		}
		s.skip(inner)
	}
}

// object reads an element Contents.
func (s *scanner) object() (o minio.ObjectInfo) {
	for !s.failed && !s.empty {
		switch name := s.open(); name {
		case "":
			s.close("Contents")
			return o
		case "Key":
			o.Key = s.leaf(name)
		case "ETag":
			o.ETag = s.leaf(name)
		case "Size":
			size, err := strconv.ParseInt(strings.TrimSpace(s.leaf(name)), 10, 64)
			o.Size = size
			s.failed = s.failed || err != nil
		case "LastModified":
			modified, err := time.Parse(time.RFC3339, s.leaf(name))
			o.LastModified = modified
			s.failed = s.failed || err != nil
		case "UserMetadata":
			o.UserMetadata = s.metadata()
		default:
			s.skip(name)
		}
	}
	s.empty = false
	return o
}

func (s *scanner) metadata() minio.StringMap {
	all := minio.StringMap{}
	for !s.failed && !s.empty {
		name := s.open()
		if name == "" {
			s.close("UserMetadata")
			return all
		}
		all[name] = s.leaf(name)
	}
	s.empty = false
	return all
}

func (s *scanner) commonPrefix() (p minio.CommonPrefix) {
	for !s.failed && !s.empty {
		switch name := s.open(); name {
		case "":
			s.close("CommonPrefixes")
			return p
		case "Prefix":
			p.Prefix = s.leaf(name)
		default:
			s.skip(name)
		}
	}
	s.empty = false
	return p
}
