package memory_test

import (
	"errors"
	"strings"
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
	"objvol/objstore/objstoretest"
)

// everything is what a bucket can do from which nothing is taken away.
var everything = objstore.Capabilities{
	ConditionalPut: true, ConditionalComplete: true, ConditionalDelete: true, BatchDelete: true, SetAttributes: true,
	ListMetadata: true, CopyPart: true, FileAndDirectory: true,
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts memory.Options
		can  func(*objstore.Capabilities)
	}{
		"everything":    {memory.Options{}, func(*objstore.Capabilities) {}},
		"content etags": {memory.Options{ContentETags: true, PageSize: 2}, func(*objstore.Capabilities) {}},
		"like minio": {
			memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}},
			func(c *objstore.Capabilities) { c.ConditionalDelete = false },
		},
		"like versitygw": {
			memory.Options{Without: objstore.Capabilities{ListMetadata: true, FileAndDirectory: true}},
			func(c *objstore.Capabilities) { c.ListMetadata, c.FileAndDirectory = false, false },
		},
		"nothing": {
			memory.Options{Without: everything},
			func(c *objstore.Capabilities) { *c = objstore.Capabilities{} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			declared := everything
			c.can(&declared)
			objstoretest.Run(t, func(*testing.T) objstore.Bucket { return memory.New(c.opts) }, declared)
		})
	}
}

// Equal content has an equal ETag only where that was asked for.
func TestETags(t *testing.T) {
	t.Parallel()
	for _, content := range []bool{false, true} {
		b := memory.New(memory.Options{ContentETags: content})
		one := b.Set("a", []byte("x"), objstore.Attributes{})
		if two := b.Set("b", []byte("x"), objstore.Attributes{}); (one.ETag == two.ETag) != content {
			t.Errorf("content etags %v: %q and %q", content, one.ETag, two.ETag)
		}
		if three := b.Set("a", []byte("y"), objstore.Attributes{}); three.ETag == one.ETag {
			t.Errorf("content etags %v: other content has the same", content)
		}
	}
}

// Without ConditionalDelete, what another client writes between the comparison and the
// delete is lost.
func TestEmulatedDelete(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}})
	old := b.Set("k", []byte("old"), objstore.Attributes{})
	b.Inject(memory.Fault{Op: objstore.OpDelete, Hook: func() { b.Set("k", []byte("theirs"), objstore.Attributes{}) }})
	if err := b.Delete(t.Context(), "k", objstore.Condition{IfMatch: old.ETag}); err != nil {
		t.Error(err)
	}
	if len(b.Snapshot()) > 0 || b.Count(objstore.OpHead) != 1 {
		t.Errorf("objects %v, requests %v", b.Snapshot(), b.Requests())
	}
}

// A condition that the store does not know is refused, never ignored.
func TestUnknownCondition(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{Without: everything})
	for _, cond := range []objstore.Condition{{IfAbsent: true}, {IfMatch: "e"}} {
		if _, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{Condition: cond}); !errors.Is(err, objstore.ErrUnsupported) {
			t.Errorf("Put with %+v: %v", cond, err)
		}
	}
}

// TestStrict is about what some stores refuse and others mangle.
func TestStrict(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	for name, attrs := range map[string]objstore.Attributes{
		"upper case":       {Metadata: map[string]string{"Mode": "1"}},
		"no name":          {Metadata: map[string]string{"": "1"}},
		"space in a name":  {Metadata: map[string]string{"a b": "1"}},
		"space at the end": {Metadata: map[string]string{"a": "1 "}},
		"not printable":    {Metadata: map[string]string{"a": "1\n2"}},
		"not ascii":        {Metadata: map[string]string{"a": "ä"}},
		"too much":         {Metadata: map[string]string{"a": strings.Repeat("x", objstore.MaxMetadata)}},
		"other header":     {Headers: map[string]string{"X-Amz-Acl": "public-read"}},
		"header's case":    {Headers: map[string]string{"cache-control": "no-store"}},
	} {
		if _, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{Attributes: attrs}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("Put, %s: %v", name, err)
		}
		if _, err := b.CreateUpload(t.Context(), "k", attrs); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("CreateUpload, %s: %v", name, err)
		}
	}
	for _, key := range []string{"", "\xff", strings.Repeat("x", objstore.MaxKeyLength+1)} {
		if _, err := b.Head(t.Context(), key); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("Head of %q: %v", key, err)
		}
	}
	if have := b.Snapshot(); len(have) > 0 {
		t.Errorf("objects %v", have)
	}
}

// Parts are checked as a store checks them.
func TestStrictParts(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	id, err := b.CreateUpload(t.Context(), "k", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	var parts []objstore.Part
	for number := 1; number <= 2; number++ {
		part, err := b.UploadPart(t.Context(), "k", id, number, objstore.Bytes("small"))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	for name, wrong := range map[string][]objstore.Part{
		"none":     nil,
		"small":    parts,
		"order":    {parts[1], parts[0]},
		"twice":    {parts[0], parts[0]},
		"unknown":  {{Number: 3, ETag: parts[0].ETag}},
		"replaced": {{Number: 1, ETag: "other"}},
	} {
		if _, err := b.CompleteUpload(t.Context(), "k", id, wrong, objstore.Condition{}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, number := range []int{0, objstore.MaxParts + 1} {
		if _, err := b.UploadPart(t.Context(), "k", id, number, objstore.Bytes("x")); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("part %d: %v", number, err)
		}
	}
	if _, err := b.CompleteUpload(t.Context(), "other", id, parts[:1], objstore.Condition{}); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("an upload of another key: %v", err)
	}
}
