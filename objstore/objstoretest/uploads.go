package objstoretest

import (
	"maps"
	"os"
	"path/filepath"
	"strings"

	"objvol/objstore"
)

// create begins an upload.
func (s suite) create(key string, attrs objstore.Attributes) string {
	s.Helper()
	id, err := s.b.CreateUpload(s.Context(), key, attrs)
	if err != nil {
		s.Fatal(err)
	}
	return id
}

// part uploads a part.
func (s suite) part(key, id string, number int, content string) objstore.Part {
	s.Helper()
	part, err := s.b.UploadPart(s.Context(), key, id, number, objstore.Bytes(content))
	if err != nil {
		s.Fatal(err)
	}
	if part.Number != number || part.Size != int64(len(content)) || part.ETag == "" {
		s.Errorf("UploadPart answers %+v", part)
	}
	return part
}

// filed is a file that says that it is one.
type filed struct{ *os.File }

// InFile implements objstore.Filed.
func (f filed) InFile(off, n int64) (objstore.FileRange, bool) {
	return objstore.FileRange{Offset: off, Length: n, Use: func(call func(fd int)) error {
		call(int(f.Fd()))
		return nil
	}}, true
}

// filedPart uploads a part that is a range of a file.
func (s suite) filedPart(key, id string, number int, before, content, behind string) objstore.Part {
	s.Helper()
	path := filepath.Join(s.TempDir(), "f")
	if err := os.WriteFile(path, []byte(before+content+behind), 0o600); err != nil {
		s.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read only
	part, err := s.b.UploadPart(s.Context(), key, id, number, objstore.Section{R: filed{f}, Offset: int64(len(before)), Length: int64(len(content))})
	if err != nil {
		s.Fatal(err)
	}
	if part.Number != number || part.Size != int64(len(content)) || part.ETag == "" {
		s.Errorf("UploadPart answers %+v", part)
	}
	return part
}

// copied makes a part of an object.
func (s suite) copied(key, id string, number int, src objstore.CopySource) objstore.Part {
	s.Helper()
	part, err := s.b.CopyPart(s.Context(), key, id, number, src)
	if err != nil {
		s.Fatal(err)
	}
	if part.Number != number || part.ETag == "" || src.Length > 0 && part.Size != src.Length {
		s.Errorf("CopyPart answers %+v", part)
	}
	return part
}

// complete ends an upload.
func (s suite) complete(key, id string, cond objstore.Condition, parts ...objstore.Part) objstore.Object {
	s.Helper()
	object, err := s.b.CompleteUpload(s.Context(), key, id, parts, cond)
	if err != nil {
		s.Fatal(err)
	}
	if head := s.head(key); object.Key != key || object.ETag == "" || object.ETag != head.ETag || object.Size != head.Size || !object.LastModified.IsZero() {
		s.Errorf("CompleteUpload answers %+v, Head %+v", object, head)
	}
	return object
}

// multipart uploads parts out of order, one of them twice.
func (s suite) multipart() {
	key := s.prefix + "a"
	first, last := pattern(objstore.MinPartSize), "the end"
	id := s.create(key, objstore.Attributes{ContentType: "text/plain", Metadata: map[string]string{"mode": "33188"}})
	two := s.filedPart(key, id, 7, "before", last, "behind")
	s.part(key, id, 2, "replaced")
	one := s.filedPart(key, id, 2, "", first, "behind")
	s.absent(key)
	s.lists(objstore.ListOptions{Prefix: s.prefix})
	s.complete(key, id, objstore.Condition{}, one, two)
	s.holds(key, first+last)
	if head := s.head(key); head.ContentType != "text/plain" || head.Metadata["mode"] != "33188" || head.Size != int64(len(first+last)) {
		s.Errorf("Head answers %+v", head)
	}
	if have, _ := s.get(key, objstore.GetOptions{Offset: objstore.MinPartSize - 2, Length: 5}); have != first[len(first)-2:]+last[:3] {
		s.Errorf("range over the parts' border is %q", have)
	}
	s.lists(objstore.ListOptions{Prefix: s.prefix}, "a")
}

func (s suite) multipartSingle() {
	key := s.prefix + "a"
	s.put(key, "old")
	id := s.create(key, objstore.Attributes{})
	part := s.part(key, id, 1, "only part")
	s.holds(key, "old")
	s.complete(key, id, objstore.Condition{}, part)
	s.holds(key, "only part")
}

// multipartEmpty makes an empty object, and one whose last part is empty.
func (s suite) multipartEmpty() {
	key := s.prefix + "a"
	id := s.create(key, objstore.Attributes{})
	s.complete(key, id, objstore.Condition{}, s.part(key, id, 1, ""))
	s.holds(key, "")

	first := pattern(objstore.MinPartSize)
	id = s.create(key, objstore.Attributes{})
	s.complete(key, id, objstore.Condition{}, s.part(key, id, 1, first), s.part(key, id, 2, ""))
	s.holds(key, first)
}

// multipartAbort checks that what an upload held is gone, and that its id is unknown.
func (s suite) multipartAbort() {
	key := s.prefix + "a"
	s.put(key, "old")
	id := s.create(key, objstore.Attributes{})
	part := s.part(key, id, 1, "new")
	for range 2 {
		if err := s.b.AbortUpload(s.Context(), key, id); err != nil {
			s.Errorf("AbortUpload: %v", err)
		}
	}
	if err := s.b.AbortUpload(s.Context(), key, "no-such-upload"); err != nil {
		s.Errorf("AbortUpload of an unknown id: %v", err)
	}
	_, err := s.b.UploadPart(s.Context(), key, id, 2, objstore.Bytes("more"))
	s.fails(err, objstore.ErrNotFound, objstore.OpUploadPart, key)
	_, err = s.b.CompleteUpload(s.Context(), key, id, []objstore.Part{part}, objstore.Condition{})
	s.fails(err, objstore.ErrNotFound, objstore.OpCompleteUpload, key)
	s.holds(key, "old")
}

func (s suite) completeCondition() {
	key := s.prefix + "a"
	old := s.put(key, "old")
	id := s.create(key, objstore.Attributes{})
	part := s.part(key, id, 1, "new")
	refused := func(key, id string, cond objstore.Condition, part objstore.Part) {
		s.Helper()
		_, err := s.b.CompleteUpload(s.Context(), key, id, []objstore.Part{part}, cond)
		s.fails(err, objstore.ErrPreconditionFailed, objstore.OpCompleteUpload, key)
	}
	if !s.b.Capabilities().ConditionalComplete {
		if _, err := s.b.CompleteUpload(s.Context(), key, id, []objstore.Part{part}, objstore.Condition{IfAbsent: true}); err != nil && !strings.Contains(err.Error(), objstore.ErrUnsupported.Error()) {
			s.Errorf("a store without ConditionalComplete honours the condition: %v", err)
		}
		return
	}
	refused(key, id, objstore.Condition{IfAbsent: true}, part)
	refused(key, id, objstore.Condition{IfMatch: otherETag}, part)
	s.holds(key, "old")
	if head := s.head(key); head.ETag != old.ETag {
		s.Errorf("a refused upload changed the ETag from %q to %q", old.ETag, head.ETag)
	}
	// The upload is still there.
	s.complete(key, id, objstore.Condition{IfMatch: old.ETag}, part)
	s.holds(key, "new")

	key = s.prefix + "b"
	id = s.create(key, objstore.Attributes{})
	part = s.part(key, id, 1, "created")
	refused(key, id, objstore.Condition{IfMatch: otherETag}, part)
	s.absent(key)
	s.complete(key, id, objstore.Condition{IfAbsent: true}, part)
	s.holds(key, "created")

	key = s.prefix + "c"
	id = s.create(key, objstore.Attributes{})
	part = s.part(key, id, 1, "aborted")
	s.put(key, "theirs")
	refused(key, id, objstore.Condition{IfAbsent: true}, part)
	if err := s.b.AbortUpload(s.Context(), key, id); err != nil {
		s.Error(err)
	}
	s.holds(key, "theirs")

	s.completeRace()
}

// completeRace lets uploads that create one key end at once.
func (s suite) completeRace() {
	key := s.prefix + "race"
	const n = 8
	ids, parts := make([]string, n), make([]objstore.Part, n)
	for i := range n {
		ids[i] = s.create(key, objstore.Attributes{})
		parts[i] = s.part(key, ids[i], 1, strings.Repeat("x", i+1))
	}
	winner := s.winner(parallel(n, func(i int) error {
		_, err := s.b.CompleteUpload(s.Context(), key, ids[i], parts[i:i+1], objstore.Condition{IfAbsent: true})
		return err
	}), objstore.OpCompleteUpload, key)
	s.holds(key, strings.Repeat("x", winner+1))
	for i, id := range ids {
		if i == winner {
			continue
		}
		if err := s.b.AbortUpload(s.Context(), key, id); err != nil {
			s.Error(err)
		}
	}
}

// copyPart joins ranges of one object with new bytes.
func (s suite) copyPart() {
	src, key := s.prefix+"src", s.prefix+"dst"
	if !s.b.Capabilities().CopyPart {
		s.put(src, "x")
		id := s.create(key, objstore.Attributes{})
		_, err := s.b.CopyPart(s.Context(), key, id, 1, objstore.CopySource{Key: src})
		s.fails(err, objstore.ErrUnsupported, objstore.OpCopyPart, key)
		return
	}
	content := pattern(objstore.MinPartSize + 1000)
	source := s.put(src, content)
	id := s.create(key, objstore.Attributes{Metadata: map[string]string{"mode": "33188"}})
	s.complete(key, id, objstore.Condition{},
		s.copied(key, id, 1, objstore.CopySource{Key: src, IfMatch: source.ETag, Offset: 1000, Length: objstore.MinPartSize}),
		s.copied(key, id, 2, objstore.CopySource{Key: src, Offset: 0, Length: objstore.MinPartSize}),
		s.part(key, id, 3, "new"))
	s.holds(key, content[1000:]+content[:objstore.MinPartSize]+"new")
	if head := s.head(key); !maps.Equal(head.Metadata, map[string]string{"mode": "33188"}) {
		s.Errorf("metadata is %q", head.Metadata)
	}

	id = s.create(key, objstore.Attributes{})
	s.complete(key, id, objstore.Condition{},
		s.copied(key, id, 1, objstore.CopySource{Key: src}),
		s.copied(key, id, 2, objstore.CopySource{Key: src, Offset: 5, Length: 1}))
	s.holds(key, content+content[5:6])

	s.put(src, "")
	id = s.create(key, objstore.Attributes{})
	s.complete(key, id, objstore.Condition{}, s.copied(key, id, 1, objstore.CopySource{Key: src}))
	s.holds(key, "")
}

// changePart replaces one part of an object that was made of parts, in its place.
func (s suite) changePart() {
	if caps := s.b.Capabilities(); !caps.CopyPart || !caps.ConditionalComplete {
		return
	}
	const size = objstore.MinPartSize
	key := s.prefix + "a"
	content := pattern(2*size + 1000)
	id := s.create(key, objstore.Attributes{})
	old := s.complete(key, id, objstore.Condition{}, s.part(key, id, 1, content[:2*size]), s.part(key, id, 2, content[2*size:]))
	changed := strings.Repeat("changed ", size/8)
	id = s.create(key, objstore.Attributes{Metadata: map[string]string{"mode": "33188"}})
	object := s.complete(key, id, objstore.Condition{IfMatch: old.ETag},
		s.part(key, id, 1, changed),
		s.copied(key, id, 3, objstore.CopySource{Key: key, IfMatch: old.ETag, Offset: size, Length: size + 1000}))
	s.holds(key, changed+content[size:])
	if object.ETag == old.ETag {
		s.Errorf("both contents have the ETag %q", old.ETag)
	}
}

// copyPartSource asks for sources that are not as they should be.
func (s suite) copyPartSource() {
	if !s.b.Capabilities().CopyPart {
		return
	}
	src, key := s.prefix+"src", s.prefix+"dst"
	id := s.create(key, objstore.Attributes{})
	_, err := s.b.CopyPart(s.Context(), key, id, 1, objstore.CopySource{Key: src})
	s.fails(err, objstore.ErrNotFound, objstore.OpCopyPart, key)

	old := s.put(src, "old")
	s.put(src, "newer")
	for _, source := range []objstore.CopySource{{Key: src, IfMatch: old.ETag}, {Key: src, IfMatch: old.ETag, Offset: 1, Length: 2}} {
		_, err = s.b.CopyPart(s.Context(), key, id, 1, source)
		s.fails(err, objstore.ErrPreconditionFailed, objstore.OpCopyPart, key)
	}
	// A part that is shorter than asked for would shift all that follows.
	for _, source := range []objstore.CopySource{{Key: src, Offset: 3, Length: 3}, {Key: src, Offset: 5, Length: 1}} {
		_, err = s.b.CopyPart(s.Context(), key, id, 1, source)
		if !objstore.Refused(err) {
			s.Errorf("CopyPart beyond the end: %v", err)
		}
	}
	if err := s.b.AbortUpload(s.Context(), key, id); err != nil {
		s.Error(err)
	}
	_, err = s.b.CopyPart(s.Context(), key, id, 1, objstore.CopySource{Key: src})
	s.fails(err, objstore.ErrNotFound, objstore.OpCopyPart, key)
}

// selfCopy changes the attributes of an object under conditions, without its bytes
// passing through the client.
func (s suite) selfCopy() {
	if caps := s.b.Capabilities(); !caps.CopyPart || !caps.ConditionalComplete {
		return
	}
	for _, content := range []string{"content", ""} {
		key := s.prefix + "key-" + content
		old, err := s.b.Put(s.Context(), key, objstore.Bytes(content), objstore.PutOptions{Attributes: objstore.Attributes{Metadata: map[string]string{"mode": "33188", "gone": "1"}}})
		if err != nil {
			s.Fatal(err)
		}
		id := s.create(key, objstore.Attributes{ContentType: "text/plain", Metadata: map[string]string{"mode": "33261"}})
		s.complete(key, id, objstore.Condition{IfMatch: old.ETag}, s.copied(key, id, 1, objstore.CopySource{Key: key, IfMatch: old.ETag}))
		s.holds(key, content)
		if head := s.head(key); head.ContentType != "text/plain" || !maps.Equal(head.Metadata, map[string]string{"mode": "33261"}) {
			s.Errorf("Head answers %+v", head)
		}
	}
}
