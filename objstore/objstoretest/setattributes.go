package objstoretest

import (
	"fmt"
	"maps"
	"sync"

	"objvol/objstore"
)

// setAttributes replaces the attributes of objects whose bytes stay.
func (s suite) setAttributes() {
	attrs := objstore.Attributes{
		ContentType: "text/plain",
		Headers:     map[string]string{"Cache-Control": "no-cache", "Content-Language": "de, en"},
		Metadata:    map[string]string{"mode": "33261", "text": "a <b> & \"c\""},
	}
	if !s.b.Capabilities().SetAttributes {
		old := s.put(s.prefix+"a", "x")
		_, err := s.b.SetAttributes(s.Context(), old.Key, old.ETag, attrs)
		s.fails(err, objstore.ErrUnsupported, objstore.OpSetAttributes, old.Key)
		return
	}
	large := pattern(objstore.MinPartSize + 1000)
	for name, content := range map[string]string{"content": "content", "empty": "", "sp ace+ä%&": "x", "parts": large} {
		key := s.prefix + name
		before := objstore.Attributes{
			ContentType: "text/html",
			Headers:     map[string]string{"Content-Encoding": "gzip", "Cache-Control": "no-store"},
			Metadata:    map[string]string{"mode": "33188", "gone": "1"},
		}
		old, err := s.b.Put(s.Context(), key, objstore.Bytes(content), objstore.PutOptions{Attributes: before})
		if err != nil {
			s.Fatal(err)
		}
		if name == "parts" {
			id := s.create(key, before)
			old = s.complete(key, id, objstore.Condition{},
				s.part(key, id, 1, content[:objstore.MinPartSize]), s.part(key, id, 2, content[objstore.MinPartSize:]))
		}
		for _, want := range []objstore.Attributes{attrs, {ContentType: "application/octet-stream"}} {
			object, err := s.b.SetAttributes(s.Context(), key, old.ETag, want)
			if err != nil {
				s.Fatal(err)
			}
			s.holds(key, content)
			head := s.head(key)
			if head.ContentType != want.ContentType || !maps.Equal(head.Headers, want.Headers) || !maps.Equal(head.Metadata, want.Metadata) {
				s.Errorf("Head of %s answers %+v, want %+v", name, head, want)
			}
			if object.Key != key || object.ETag != head.ETag || !object.LastModified.IsZero() || head.Size != int64(len(content)) {
				s.Errorf("SetAttributes answers %+v, Head %+v", object, head)
			}
			if _, err := s.b.SetAttributes(s.Context(), key, otherETag, attrs); !objstore.Refused(err) {
				s.Errorf("with another ETag: %v", err)
			} else {
				s.fails(err, objstore.ErrPreconditionFailed, objstore.OpSetAttributes, key)
			}
			if now := s.head(key); !same(now, head) {
				s.Errorf("a refusal changed %+v to %+v", head, now)
			}
			old = object
		}
	}
	_, err := s.b.SetAttributes(s.Context(), s.prefix+"missing", otherETag, attrs)
	s.fails(err, objstore.ErrNotFound, objstore.OpSetAttributes, s.prefix+"missing")
	s.absent(s.prefix + "missing")
}

// setAttributesRace lets another client write while attributes are set. The old bytes never
// come back, and what refused attributes does not get them.
func (s suite) setAttributesRace() {
	if !s.b.Capabilities().SetAttributes {
		return
	}
	for round := range 30 {
		key := fmt.Sprintf("%s%d", s.prefix, round)
		old := s.put(key, "ours")
		var wg sync.WaitGroup
		var set error
		wg.Go(func() {
			attrs := objstore.Attributes{Metadata: map[string]string{"of": "ours"}}
			_, set = s.b.SetAttributes(s.Context(), key, old.ETag, attrs)
		})
		opts := objstore.PutOptions{Attributes: objstore.Attributes{Metadata: map[string]string{"of": "theirs"}}}
		_, err := s.b.Put(s.Context(), key, objstore.Bytes("theirs"), opts)
		wg.Wait()
		if err != nil {
			s.Fatal(err)
		}
		if set != nil {
			s.fails(set, objstore.ErrPreconditionFailed, objstore.OpSetAttributes, key)
		}
		content, object := s.get(key, objstore.GetOptions{})
		if content != "theirs" || object.Size != int64(len(content)) || set != nil && object.Metadata["of"] != "theirs" {
			s.Fatalf("round %d: the object holds %q and says %q (attributes: %v)", round, content, object.Metadata["of"], set)
		}
	}
}
