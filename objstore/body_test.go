package objstore_test

import (
	"io"
	"strings"
	"testing"

	"objvol/objstore"
)

// A body gives all its bytes, each time it is opened.
func TestBodies(t *testing.T) {
	t.Parallel()
	for want, body := range map[string]objstore.Body{
		"bytes": objstore.Bytes("bytes"),
		"":      objstore.Bytes(nil),
		"345":   objstore.Section{R: strings.NewReader("0123456789"), Offset: 3, Length: 3},
	} {
		if body.Size() != int64(len(want)) {
			t.Errorf("Size is %d of %q", body.Size(), want)
		}
		for range 2 {
			r, err := body.Open()
			if err != nil {
				t.Fatal(err)
			}
			have, err := io.ReadAll(r)
			if err != nil || string(have) != want {
				t.Errorf("read %q instead of %q, %v", have, want, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A section of a file that has become shorter ends early, which a write reports.
func TestShortSection(t *testing.T) {
	t.Parallel()
	body := objstore.Section{R: strings.NewReader("0123"), Offset: 3, Length: 3}
	r, err := body.Open()
	if err != nil {
		t.Fatal(err)
	}
	if have, err := io.ReadAll(r); err != nil || string(have) != "3" {
		t.Errorf("read %q, %v", have, err)
	}
}
