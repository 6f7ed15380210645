package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
)

func TestDeleteBelow(t *testing.T) {
	b := memory.New(memory.Options{PageSize: 3})
	others := []string{"u", "v", "v.txt", "v0/a", "va", "w/v/a"}
	for _, key := range others {
		b.Set(key, nil, objstore.Attributes{})
	}
	for _, key := range []string{"v/", "v/a/", "v/a/b/", "v/a/b/file", "v/z"} {
		b.Set(key, nil, objstore.Attributes{})
	}
	for i := range 10 {
		b.Set(fmt.Sprintf("v/f%d", i), nil, objstore.Attributes{})
	}
	if err := deleteBelow(t.Context(), b, "v/"); err != nil {
		t.Fatal(err)
	}
	if left := slices.Sorted(maps.Keys(b.Snapshot())); !slices.Equal(left, others) {
		t.Errorf("left are %v, want %v", left, others)
	}
	var markers []string
	for _, r := range b.Requests() {
		if r.Op == objstore.OpDelete && strings.HasSuffix(r.Key, "/") {
			markers = append(markers, r.Key)
		}
	}
	if want := []string{"v/a/b/", "v/a/", "v/"}; !slices.Equal(markers, want) {
		t.Errorf("markers went as %v, want %v", markers, want)
	}
}

func TestDeleteBelowNoPrefix(t *testing.T) {
	b := memory.New(memory.Options{})
	b.Set("v", nil, objstore.Attributes{})
	for _, prefix := range []string{"", "v"} {
		if err := deleteBelow(t.Context(), b, prefix); err == nil {
			t.Errorf("%q is no prefix of a volume", prefix)
		}
	}
	if b.Count(objstore.OpDelete) != 0 {
		t.Error("something was deleted")
	}
}

func TestDeleteBelowDoesNotTrustAListing(t *testing.T) {
	b := memory.New(memory.Options{})
	b.Set("mine/a", nil, objstore.Attributes{})
	b.Set("theirs/a", nil, objstore.Attributes{})
	if err := deleteBelow(t.Context(), carelessLists{b}, "mine/"); err == nil {
		t.Error("a listing of other keys is believed")
	}
	if b.Count(objstore.OpDelete) != 0 {
		t.Error("something was deleted")
	}
}

// carelessLists lists everything, whatever the prefix.
type carelessLists struct{ objstore.Bucket }

func (b carelessLists) List(ctx context.Context, _ objstore.ListOptions) (objstore.Page, error) {
	return b.Bucket.List(ctx, objstore.ListOptions{})
}
