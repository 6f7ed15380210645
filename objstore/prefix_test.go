package objstore_test

import (
	"slices"
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// Every key that goes down has the prefix, and no key that comes up has it.
func TestPrefix(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Inject(memory.Fault{Count: memory.Forever, Err: objstore.ErrAccessDenied})
	for op, err := range every(t.Context(), objstore.WithPrefix(b, "vol/"), "key") {
		isOp(t, err, op, "key")
	}
	for _, r := range b.Requests() {
		if r.Key != "vol/key" {
			t.Errorf("%s of %q", r.Op, r.Key)
		}
	}
}

// What lies outside is neither seen nor touched.
func TestPrefixHidesOthers(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	for _, key := range []string{"vol", "vol/a", "vol/d/x", "vol2/a", "voa/a"} {
		b.Set(key, []byte(key), objstore.Attributes{})
	}
	part := objstore.WithPrefix(b, "vol/")
	page, err := part.List(t.Context(), objstore.ListOptions{Delimiter: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects) != 1 || page.Objects[0].Key != "a" || !slices.Equal(page.Prefixes, []string{"d/"}) {
		t.Errorf("List gives %+v", page)
	}
	if err := part.Delete(t.Context(), "a", objstore.Condition{}); err != nil {
		t.Error(err)
	}
	if have := b.Snapshot(); len(have) != 4 || have["vol2/a"].Size == 0 {
		t.Errorf("left are %v", have)
	}
}

// The empty key is the object named like the prefix.
func TestPrefixRoot(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	part := objstore.WithPrefix(b, "vol/")
	if _, err := part.Put(t.Context(), "", objstore.Bytes(""), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Snapshot()["vol/"]; !ok {
		t.Error("no object vol/")
	}
	page, err := part.List(t.Context(), objstore.ListOptions{})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Key != "" {
		t.Errorf("List gives %+v, %v", page, err)
	}
}
