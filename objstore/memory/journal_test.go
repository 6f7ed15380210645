package memory_test

import (
	"errors"
	"slices"
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// What arrives is recorded, also where it fails; what is done from outside is not.
func TestJournal(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	b.Inject(memory.Fault{Op: objstore.OpDelete, Err: objstore.ErrUnavailable})
	b.Set("other", nil, objstore.Attributes{})
	b.Remove("other")
	if err := put(t, b, "a", "x"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(t.Context(), "a", objstore.Condition{}); !errors.Is(err, objstore.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := b.List(t.Context(), objstore.ListOptions{Prefix: "p/"}); err != nil {
		t.Error(err)
	}
	want := []memory.Request{{Op: objstore.OpPut, Key: "a"}, {Op: objstore.OpDelete, Key: "a"}, {Op: objstore.OpList, Key: "p/"}}
	if have := b.Requests(); !slices.Equal(have, want) {
		t.Errorf("requests %v", have)
	}
	if b.Count(objstore.OpPut) != 1 || b.Count("") != 3 || b.Count(objstore.OpHead) != 0 {
		t.Errorf("counts of %v", b.Requests())
	}
	b.Forget()
	if b.Count("") != 0 {
		t.Errorf("requests %v", b.Requests())
	}
}

// What others get of an object is theirs to change.
func TestSnapshotIsACopy(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	data, metadata := []byte("content"), map[string]string{"mode": "1"}
	b.Set("k", data, objstore.Attributes{Metadata: metadata})
	data[0], metadata["mode"] = 'X', "2"
	b.Snapshot()["k"].Metadata["mode"] = "3"
	head, err := b.Head(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	head.Metadata["mode"] = "4"
	if have := b.Snapshot()["k"]; string(have.Data) != "content" || have.Metadata["mode"] != "1" {
		t.Errorf("holds %q, %v", have.Data, have.Metadata)
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	ids := map[string]string{}
	for _, key := range []string{"c", "a", "b"} {
		id, err := b.CreateUpload(t.Context(), key, objstore.Attributes{})
		if err != nil {
			t.Fatal(err)
		}
		ids[key] = id
	}
	if have := b.Uploads(); !slices.Equal(have, []string{"a", "b", "c"}) {
		t.Errorf("uploads %q", have)
	}
	part, err := b.UploadPart(t.Context(), "a", ids["a"], 1, objstore.Bytes("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompleteUpload(t.Context(), "a", ids["a"], []objstore.Part{part}, objstore.Condition{}); err != nil {
		t.Error(err)
	}
	if err := b.AbortUpload(t.Context(), "b", ids["b"]); err != nil {
		t.Error(err)
	}
	if have := b.Uploads(); !slices.Equal(have, []string{"c"}) {
		t.Errorf("uploads %q", have)
	}
}
