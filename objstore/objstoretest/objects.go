package objstoretest

import (
	"maps"
	"strings"
	"time"

	"objvol/objstore"
)

// object follows one object through its life.
func (s suite) object() {
	key := s.prefix + "a"
	s.absent(key)

	before := time.Now().Add(-time.Minute)
	written := s.put(key, "first")
	if written.Key != key || written.Size != 5 || written.ETag == "" || !written.LastModified.IsZero() {
		s.Errorf("Put answers %+v", written)
	}
	head := s.head(key)
	if head.Key != key || head.Size != 5 || head.ETag != written.ETag || !head.HasMetadata {
		s.Errorf("Head answers %+v after %+v", head, written)
	}
	if strings.Contains(head.ETag, `"`) {
		s.Errorf("ETag %s has quotes", head.ETag)
	}
	if head.LastModified.Before(before) || head.LastModified.After(time.Now().Add(time.Minute)) {
		s.Errorf("LastModified is %v", head.LastModified)
	}
	content, got := s.get(key, objstore.GetOptions{})
	if content != "first" || !same(got, head) {
		s.Errorf("Get gives %q and %+v, Head %+v", content, got, head)
	}

	replaced := s.put(key, "second one")
	if replaced.ETag == written.ETag {
		s.Error("other content has the same ETag")
	}
	if head := s.head(key); head.Size != 10 || head.ETag != replaced.ETag {
		s.Errorf("Head answers %+v after %+v", head, replaced)
	}
	s.holds(key, "second one")

	if err := s.b.Delete(s.Context(), key, objstore.Condition{}); err != nil {
		s.Error(err)
	}
	s.absent(key)
}

// missing asks for what is not there.
func (s suite) missing() {
	key := s.prefix + "none"
	s.absent(key)
	for _, opts := range []objstore.GetOptions{{}, {Offset: 1, Length: 1}, {IfMatch: "0123456789abcdef0123456789abcdef"}} {
		_, _, err := read(s.Context(), s.b, key, opts)
		s.fails(err, objstore.ErrNotFound, objstore.OpGet, key)
	}
	if err := s.b.Delete(s.Context(), key, objstore.Condition{}); err != nil {
		s.Errorf("Delete of nothing: %v", err)
	}
	// A key that is the beginning of another one is another key.
	s.put(s.prefix+"long", "")
	s.absent(s.prefix + "lon")
}

func (s suite) emptyObject() {
	key := s.prefix + "empty"
	if written := s.put(key, ""); written.Size != 0 || written.ETag == "" {
		s.Errorf("Put answers %+v", written)
	}
	if head := s.head(key); head.Size != 0 {
		s.Errorf("Head answers %+v", head)
	}
	s.holds(key, "")
	for _, opts := range []objstore.GetOptions{{Length: 1}, {Offset: 1}, {Offset: 1, Length: 1}} {
		_, _, err := read(s.Context(), s.b, key, opts)
		s.fails(err, objstore.ErrInvalidRange, objstore.OpGet, key)
	}
}

// marker writes an object whose key ends in a slash: a directory.
func (s suite) marker() {
	key := s.prefix + "dir/"
	attrs := objstore.Attributes{ContentType: "application/x-directory", Metadata: map[string]string{"mode": "16877"}}
	written, err := s.b.Put(s.Context(), key, objstore.Bytes(""), objstore.PutOptions{Attributes: attrs, Condition: s.absence()})
	if err != nil {
		s.Fatal(err)
	}
	s.put(s.prefix+"dir/file", "x")
	head := s.head(key)
	if head.Key != key || head.Size != 0 || head.ContentType != attrs.ContentType || head.Metadata["mode"] != "16877" || head.ETag != written.ETag {
		s.Errorf("Head answers %+v", head)
	}
	s.holds(key, "")
	s.absent(s.prefix + "dir")
	s.lists(objstore.ListOptions{Prefix: s.prefix, Delimiter: "/"}, "dir/")
	s.lists(objstore.ListOptions{Prefix: key, Delimiter: "/"}, "dir/", "dir/file")
	if err := s.b.Delete(s.Context(), key, objstore.Condition{}); err != nil {
		s.Error(err)
	}
	s.absent(key)
	s.holds(s.prefix+"dir/file", "x")
}

// attributes checks that what an object carries comes back as it was sent, and goes
// when the object is replaced.
func (s suite) attributes() {
	attrs := objstore.Attributes{
		ContentType: "text/html; charset=utf-8",
		Headers: map[string]string{
			"Cache-Control":       "max-age=60, must-revalidate",
			"Content-Disposition": `attachment; filename="a b.html"`,
			// The bytes are not gzip's: nobody may unpack them on the way.
			"Content-Encoding": "gzip",
			"Content-Language": "de",
			"Expires":          "Thu, 01 Dec 2033 16:00:00 GMT",
		},
		Metadata: map[string]string{
			"mode":             "33188",
			"mtime":            "1700000000.000000001",
			"objvol-gen":       `{"k": [1, "x%2Fy+z"], "s": "a b;c=d"}`,
			"file-permissions": "0644",
			"large":            strings.Repeat("x", 1500),
		},
	}
	for name, key := range map[string]string{"put": s.prefix + "put", "upload": s.prefix + "upload"} {
		if name == "put" {
			if _, err := s.b.Put(s.Context(), key, objstore.Bytes("body"), objstore.PutOptions{Attributes: attrs}); err != nil {
				s.Fatal(err)
			}
		} else {
			id := s.create(key, attrs)
			s.complete(key, id, objstore.Condition{}, s.part(key, id, 1, "body"))
		}
		content, got := s.get(key, objstore.GetOptions{})
		if content != "body" {
			s.Errorf("%s: the bytes changed to %q", name, content)
		}
		for from, have := range map[string]objstore.Object{"Head": s.head(key), "Get": got} {
			if have.ContentType != attrs.ContentType {
				s.Errorf("%s: content type from %s is %q", name, from, have.ContentType)
			}
			if !maps.Equal(have.Headers, attrs.Headers) {
				s.Errorf("%s: headers from %s are %q", name, from, have.Headers)
			}
			if !maps.Equal(have.Metadata, attrs.Metadata) || !have.HasMetadata {
				s.Errorf("%s: metadata from %s is %q (%v)", name, from, have.Metadata, have.HasMetadata)
			}
		}
		s.put(key, "plain")
		if have := s.head(key); have.ContentType != "application/octet-stream" || len(have.Headers) != 0 || len(have.Metadata) != 0 || !have.HasMetadata {
			s.Errorf("%s: attributes after a put without any: %+v", name, have)
		}
	}
}

// limits checks that what no store takes is refused as such and changes nothing.
func (s suite) limits() {
	key := s.prefix + "key"
	s.put(key, "old")
	attrs := objstore.Attributes{Metadata: map[string]string{"a": strings.Repeat("x", objstore.MaxMetadata), "b": "y"}}
	_, err := s.b.Put(s.Context(), key, objstore.Bytes("new"), objstore.PutOptions{Attributes: attrs})
	s.fails(err, objstore.ErrInvalid, objstore.OpPut, key)
	s.holds(key, "old")

	long := s.prefix + strings.Repeat("component/", objstore.MaxKeyLength/10)
	_, err = s.b.Put(s.Context(), long, objstore.Bytes("new"), objstore.PutOptions{})
	s.fails(err, objstore.ErrInvalid, objstore.OpPut, long)

	component := s.prefix + strings.Repeat("c", 255)
	s.put(component, "long name")
	s.holds(component, "long name")
}

// specialKeys writes, reads, lists and deletes keys that addresses, forms and XML
// treat specially.
func (s suite) specialKeys() {
	names := []string{
		"plain", "sp ace", "two  spaces", " first", "plus+plus", "per%cent", "per%2Fcent", "%", "hash#tag", "quest?ion=1",
		"amp&lt;", "<tag>", `quo"te`, "apo'strophe", "semi;colon", "co:lon", "com,ma", "at@", "dollar$", "star*", "ex!",
		"(paren)", "[bracket]", "{brace}", "pi|pe", "hat^", "back`tick", "til~de", "eq=ual", "under_score", "dot.", "..dots",
		"ünï", "u\u0308", "日本語", "😀", "\u200bzero", "x/y z/ä+ö%",
	}
	for _, name := range names {
		s.put(s.prefix+name, name)
	}
	s.lists(objstore.ListOptions{Prefix: s.prefix}, names...)
	for _, name := range names {
		s.holds(s.prefix+name, name)
		if head := s.head(s.prefix + name); head.Key != s.prefix+name {
			s.Errorf("Head of %q answers key %q", s.prefix+name, head.Key)
		}
		s.lists(objstore.ListOptions{Prefix: s.prefix + name, After: s.prefix + name})
		if s.b.Capabilities().CopyPart {
			id := s.create(s.prefix+name, objstore.Attributes{})
			s.complete(s.prefix+name, id, objstore.Condition{}, s.copied(s.prefix+name, id, 1, objstore.CopySource{Key: s.prefix + name}))
			s.holds(s.prefix+name, name)
		}
		if err := s.b.Delete(s.Context(), s.prefix+name, objstore.Condition{}); err != nil {
			s.Error(err)
		}
	}
	s.lists(objstore.ListOptions{Prefix: s.prefix})
}

func (s suite) ranges() {
	const content = "0123456789"
	key := s.prefix + "ten"
	head := s.put(key, content)
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{0, 0, content},
		{0, 1, "0"},
		{0, 10, content},
		{0, 11, content},
		{3, 4, "3456"},
		{3, 0, "3456789"},
		{9, 1, "9"},
		{9, 0, "9"},
		{9, 2, "9"},
		{5, 1 << 40, "56789"},
	} {
		have, object := s.get(key, objstore.GetOptions{Offset: c.offset, Length: c.length})
		if have != c.want {
			s.Errorf("range %d+%d is %q instead of %q", c.offset, c.length, have, c.want)
		}
		if object.Key != key || object.Size != 10 || object.ETag != head.ETag || object.LastModified.IsZero() || !object.HasMetadata {
			s.Errorf("range %d+%d describes the object as %+v", c.offset, c.length, object)
		}
	}
	for _, opts := range []objstore.GetOptions{{Offset: 10}, {Offset: 10, Length: 1}, {Offset: 11}, {Offset: 1 << 40, Length: 5}} {
		_, _, err := read(s.Context(), s.b, key, opts)
		s.fails(err, objstore.ErrInvalidRange, objstore.OpGet, key)
	}
}

// fileAndDirectory writes a key and a key below it. A store that cannot hold both
// refuses the second, or takes it and does not list both (MinIO); once one of them is
// gone the other is whole in either case.
func (s suite) fileAndDirectory() {
	const file, below = "a", "a/b"
	for first, second := range map[string]string{file: below, below: file} {
		s := s
		s.prefix += "first-" + strings.ReplaceAll(first, "/", "-") + "/"
		s.put(s.prefix+first, first)
		_, err := s.b.Put(s.Context(), s.prefix+second, objstore.Bytes(second), objstore.PutOptions{})
		_, listed := s.pages(objstore.ListOptions{Prefix: s.prefix})
		switch {
		case s.b.Capabilities().FileAndDirectory:
			if err != nil {
				s.Fatal(err)
			}
			s.holds(s.prefix+first, first)
			s.holds(s.prefix+second, second)
			s.lists(objstore.ListOptions{Prefix: s.prefix}, file, below)
			s.lists(objstore.ListOptions{Prefix: s.prefix, Delimiter: "/"}, "a", "a/")
		case err == nil && len(listed) == 2:
			s.Errorf("%q and %q exist at once, which is not declared", file, below)
		case err != nil:
			s.fails(err, objstore.ErrInvalid, objstore.OpPut, s.prefix+second)
			s.holds(s.prefix+first, first)
		}
		if err := s.b.Delete(s.Context(), s.prefix+first, objstore.Condition{}); err != nil {
			s.Fatal(err)
		}
		s.put(s.prefix+second, second)
		s.holds(s.prefix+second, second)
		s.absent(s.prefix + first)
		s.lists(objstore.ListOptions{Prefix: s.prefix}, second)
	}
}

// same reports whether two answers describe one object alike.
func same(a, b objstore.Object) bool {
	return a.Key == b.Key && a.Size == b.Size && a.ETag == b.ETag && a.LastModified.Equal(b.LastModified) &&
		a.ContentType == b.ContentType && maps.Equal(a.Headers, b.Headers) && maps.Equal(a.Metadata, b.Metadata) && a.HasMetadata == b.HasMetadata
}
