package objstoretest

import (
	"maps"
	"slices"

	"objvol/objstore"
)

// names are keys in an order that a listing can get wrong: '-' and '.' sort before '/',
// and U+FF5E before U+1F600 in UTF-8 but not in UTF-16.
var names = []string{"Z", "a-b", "a.b", "a/b/c", "a/b/d", "a/e", "a0", "b/", "b/x", "c", "d/e/f", "é", "～", "😀"}

// folded is what names are with a delimiter.
var folded = []string{"Z", "a-b", "a.b", "a/", "a0", "b/", "c", "d/", "é", "～", "😀"}

// pages collects a listing, page by page, and checks their form.
func (s suite) pages(opts objstore.ListOptions) (objects []objstore.Object, entries []string) {
	s.Helper()
	for range 1000 {
		page, err := s.b.List(s.Context(), opts)
		if err != nil {
			s.Fatal(err)
		}
		var objectKeys, all []string
		for _, object := range page.Objects {
			objectKeys = append(objectKeys, object.Key)
		}
		if !slices.IsSorted(objectKeys) || !slices.IsSorted(page.Prefixes) {
			s.Errorf("List(%+v) is not in order: %q and %q", opts, objectKeys, page.Prefixes)
		}
		all = append(append(all, objectKeys...), page.Prefixes...)
		slices.Sort(all)
		if opts.Max > 0 && len(all) > opts.Max {
			s.Errorf("List(%+v) has %d entries", opts, len(all))
		}
		objects, entries = append(objects, page.Objects...), append(entries, all...)
		if page.Next == "" {
			return objects, entries
		}
		opts.Token = page.Next
	}
	s.Fatalf("List(%+v) does not end", opts)
	return nil, nil
}

// lists checks that a listing has exactly these entries, in byte order, given without
// the test's prefix.
func (s suite) lists(opts objstore.ListOptions, want ...string) {
	s.Helper()
	_, have := s.pages(opts)
	var whole []string
	for _, name := range want {
		whole = append(whole, s.prefix+name)
	}
	slices.Sort(whole)
	if !slices.Equal(have, whole) {
		s.Errorf("List(%+v) gives\n%q instead of\n%q", opts, have, whole)
	}
}

// tree writes the objects of names.
func (s suite) tree() {
	s.Helper()
	for _, name := range names {
		content := "x"
		if name == "b/" {
			content = ""
		}
		s.put(s.prefix+name, content)
	}
}

func (s suite) list() {
	s.lists(objstore.ListOptions{Prefix: s.prefix})
	s.lists(objstore.ListOptions{Prefix: s.prefix, Delimiter: "/"})
	s.tree()
	s.lists(objstore.ListOptions{Prefix: s.prefix}, names...)
	s.lists(objstore.ListOptions{Prefix: s.prefix, Delimiter: "/"}, folded...)
	s.lists(objstore.ListOptions{Prefix: s.prefix + "a/", Delimiter: "/"}, "a/b/", "a/e")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "b/", Delimiter: "/"}, "b/", "b/x")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "a/b", Delimiter: "/"}, "a/b/")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "a"}, "a-b", "a.b", "a/b/c", "a/b/d", "a/e", "a0")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "a/e"}, "a/e")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "nothing"})

	// A listing sees what was acknowledged before it.
	s.put(s.prefix+"new", "x")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "n"}, "new")
	if err := s.b.Delete(s.Context(), s.prefix+"new", objstore.Condition{}); err != nil {
		s.Fatal(err)
	}
	s.lists(objstore.ListOptions{Prefix: s.prefix + "n"})
}

func (s suite) listPages() {
	s.tree()
	for limit := 1; limit <= 3; limit++ {
		s.lists(objstore.ListOptions{Prefix: s.prefix, Max: limit}, names...)
		s.lists(objstore.ListOptions{Prefix: s.prefix, Max: limit, Delimiter: "/"}, folded...)
	}
	// A page that is just filled is the last one.
	s.lists(objstore.ListOptions{Prefix: s.prefix, Max: len(names)}, names...)
	page, err := s.b.List(s.Context(), objstore.ListOptions{Prefix: s.prefix, Max: 1})
	if err != nil {
		s.Fatal(err)
	}
	if page.Next == "" {
		s.Error("the first page of many has no token")
	}
	// A token outweighs After.
	s.lists(objstore.ListOptions{Prefix: s.prefix, Token: page.Next, After: s.prefix + "b/x"}, names[1:]...)
}

func (s suite) listAfter() {
	s.tree()
	for i, name := range names {
		s.lists(objstore.ListOptions{Prefix: s.prefix, After: s.prefix + name}, names[i+1:]...)
		s.lists(objstore.ListOptions{Prefix: s.prefix, After: s.prefix + name, Max: 2}, names[i+1:]...)
	}
	s.lists(objstore.ListOptions{Prefix: s.prefix, After: s.prefix + "b"}, names[7:]...)
	s.lists(objstore.ListOptions{Prefix: s.prefix, After: s.prefix + "a0", Delimiter: "/"}, folded[5:]...)
	// After may lie before the prefix, and beyond it.
	s.lists(objstore.ListOptions{Prefix: s.prefix + "c", After: s.prefix + "a"}, "c")
	s.lists(objstore.ListOptions{Prefix: s.prefix + "c", After: s.prefix + "d"})
}

// listAttributes checks what a listing tells of an object, against Head.
func (s suite) listAttributes() {
	metadata := map[string]string{"mode": "33188", "mtime": "1700000000.5"}
	for _, name := range []string{"bare", "full"} {
		attrs := objstore.Attributes{}
		if name == "full" {
			attrs = objstore.Attributes{ContentType: "text/plain", Metadata: metadata}
		}
		if _, err := s.b.Put(s.Context(), s.prefix+name, objstore.Bytes(name), objstore.PutOptions{Attributes: attrs}); err != nil {
			s.Fatal(err)
		}
	}
	upload := s.create(s.prefix+"upload", objstore.Attributes{Metadata: metadata})
	s.complete(s.prefix+"upload", upload, objstore.Condition{}, s.part(s.prefix+"upload", upload, 1, "x"))

	for _, opts := range []objstore.ListOptions{{}, {Delimiter: "/"}, {Bare: true}, {Delimiter: "/", Bare: true}} {
		opts.Prefix = s.prefix
		objects, _ := s.pages(opts)
		if len(objects) != 3 {
			s.Fatalf("List gives %d objects", len(objects))
		}
		for _, object := range objects {
			head := s.head(object.Key)
			if object.Size != head.Size || object.ETag != head.ETag {
				s.Errorf("List tells %+v, Head %+v", object, head)
			}
			// Who compares them to see a change must not see one.
			if !object.LastModified.Equal(head.LastModified) {
				s.Errorf("LastModified of %q is %v in List, %v in Head", object.Key, object.LastModified, head.LastModified)
			}
			if object.HasMetadata != (s.b.Capabilities().ListMetadata && !opts.Bare) {
				s.Errorf("List(%+v): HasMetadata of %q is %v", opts, object.Key, object.HasMetadata)
			}
			if object.HasMetadata && !maps.Equal(object.Metadata, head.Metadata) {
				s.Errorf("metadata of %q is %q in List, %q in Head", object.Key, object.Metadata, head.Metadata)
			}
			if !object.HasMetadata && len(object.Metadata) > 0 {
				s.Errorf("metadata of %q is %q although List has none", object.Key, object.Metadata)
			}
		}
	}
}
