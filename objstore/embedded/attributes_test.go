//go:build !noembedded

package embedded

import (
	"os"
	"path/filepath"
	"testing"
)

// What grows with the number of parts must not be kept with the inode, where ext4 has
// 4 KiB for all.
func TestPartsAreNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "object")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := (attributes{}).StoreAttribute(f, "", path, "mp-metadata", make([]byte, 100_000)); err != nil {
		t.Error(err)
	}
	if err := (attributes{}).StoreAttribute(f, "", path, "etag", []byte("x")); err != nil {
		t.Error(err)
	}
	if names, err := (attributes{}).ListAttributes("", path); err != nil || len(names) != 1 || names[0] != "etag" {
		t.Errorf("attributes are %q, %v", names, err)
	}
	if !(attributes{}).isMarker("", path) {
		t.Error("what has an ETag is no object")
	}
}
