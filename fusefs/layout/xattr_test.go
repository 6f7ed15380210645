package layout

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"objvol/objstore"
)

func TestXattrsAreWrittenAsS3FSDoes(t *testing.T) {
	for _, tc := range []struct {
		xattrs map[string]string
		want   string
	}{
		{map[string]string{"user.a": "value"}, "%7B%22user.a%22%3A%22dmFsdWU%3D%22%7D"},
		{map[string]string{"user.b": "", "user.a": "\xfb\xff"}, "%7B%22user.a%22%3A%22%2B/8%3D%22%2C%22user.b%22%3A%22%22%7D"},
		{map[string]string{"user.a b/ü": "x"}, "%7B%22user.a%20b/%C3%BC%22%3A%22eA%3D%3D%22%7D"},
		{map[string]string{`user.a,"b`: "x"}, "%7B%22user.a%25~2C%25~22b%22%3A%22eA%3D%3D%22%7D"},
		{map[string]string{"user.%~2C%": "x"}, "%7B%22user.%25~25~2C%25%22%3A%22eA%3D%3D%22%7D"},
	} {
		if got := encodeXattrs(tc.xattrs); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.xattrs, got, tc.want)
		}
		if got, ok := decodeXattrs(tc.want); !ok || !maps.Equal(got, tc.xattrs) {
			t.Errorf("%s: read %q, %v, want %q", tc.want, got, ok, tc.xattrs)
		}
	}
}

// TestXattrNames: a name of any bytes survives, and no two become one.
func TestXattrNames(t *testing.T) {
	want := map[string]string{strings.Repeat("n", maxXattrName): "long"}
	for c := 1; c < 256; c++ {
		want["user."+string([]byte{byte(c)})] = string([]byte{byte(c), 0, byte(c)})
	}
	for _, name := range []string{"user.a:b", `user."`, `user.""`, "user.%~22", "user.%~2522", "user.%~", "user.{}", `user.\`, "user.%2C"} {
		want[name] = name
	}
	if got, ok := decodeXattrs(encodeXattrs(want)); !ok || !maps.Equal(got, want) {
		t.Errorf("read %q, %v", got, ok)
	}
}

func TestXattrsThatAreNotBelieved(t *testing.T) {
	for _, text := range []string{
		"x", "%", "%7", "{", "}", `{"a"}`, `{"a":}`, `{"a":"eA=="`, `{a:"eA=="}`, `{"a":eA==}`, `{"":"eA=="}`,
		`{"a":"eA"}`, `{"a":"eB=="}`, "{\"a\":\"eA\n==\"}", `{"a":"eA==",}`, `{"a":"eA==","a":"eA=="}`, `{"a"b":"eA=="}`,
		`{"a":"eA=="} `, `{"a%00":"eA=="}`, `{"` + strings.Repeat("n", maxXattrName+1) + `":""}`,
	} {
		if got, ok := decodeXattrs(text); ok {
			t.Errorf("%q: read %q", text, got)
		}
	}
	for _, text := range []string{"", "{}", "%7B%7D"} {
		if got, ok := decodeXattrs(text); !ok || got != nil {
			t.Errorf("%q: read %q, %v", text, got, ok)
		}
	}
	// What another program would have escaped otherwise is not taken for its like.
	if got, ok := decodeXattrs(`{"a%25~41":"eA==","aA":""}`); !ok || !maps.Equal(got, map[string]string{"a%~41": "x", "aA": ""}) {
		t.Errorf("read %q, %v", got, ok)
	}
}

// TestUnreadableXattrsAreKept until there are some of ours.
func TestUnreadableXattrsAreKept(t *testing.T) {
	obj := objstore.Object{LastModified: modified, Attributes: objstore.Attributes{Metadata: map[string]string{"xattr": "[1]"}}}
	attr, _, foreign := Decode(obj, false, defaults)
	if attr.Xattrs != nil {
		t.Errorf("read %q", attr.Xattrs)
	}
	got, err := Encode(attr, Lineage{}, foreign, true)
	if err != nil || got.Metadata["xattr"] != "[1]" {
		t.Errorf("became %q, %v", got.Metadata["xattr"], err)
	}
	attr.Xattrs = map[string]string{"user.a": "value"}
	obj.Attributes, err = Encode(attr, Lineage{}, foreign, true)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, foreign := Decode(obj, false, defaults); !maps.Equal(again.Xattrs, attr.Xattrs) || len(foreign.Metadata) != 0 {
		t.Errorf("read %q and %q", again.Xattrs, foreign.Metadata)
	}
}

// TestFits: what fits can be encoded, and a byte more does not fit.
func TestFits(t *testing.T) {
	foreign := Foreign{Metadata: map[string]string{"colour": strings.Repeat("r", 500)}}
	attr := Attr{Mode: TypeRegular, Xattrs: map[string]string{"user.a": ""}}
	for Fits(attr, foreign) == nil {
		attr.Xattrs["user.a"] += "vvv"
	}
	if err := Fits(attr, foreign); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if _, err := Encode(attr, Lineage{}, foreign, false); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	attr.Xattrs["user.a"] = attr.Xattrs["user.a"][3:]
	encoded, err := Encode(attr, Lineage{}, foreign, false)
	if err != nil {
		t.Fatal(err)
	}
	if size := metadataSize(encoded.Metadata); size > objstore.MaxMetadata {
		t.Errorf("%d bytes of metadata, the limit is %d", size, objstore.MaxMetadata)
	}
	if len(attr.Xattrs["user.a"]) < 600 {
		t.Errorf("%d bytes are all that fits beside %d of others", len(attr.Xattrs["user.a"]), 500)
	}
}

// FuzzXattrs: whatever an object carries, what is made of it survives being written and
// read again.
func FuzzXattrs(f *testing.F) {
	f.Add("%7B%22user.a%22%3A%22dmFsdWU%3D%22%7D")
	f.Add(`{"user.a":"eA==","user.b":""}`)
	f.Add(`{"a%25~41":"eA==","aA":"eA=="}`)
	f.Add("[1]")
	f.Fuzz(func(t *testing.T, text string) {
		xattrs, ok := decodeXattrs(text)
		if !ok && xattrs != nil {
			t.Errorf("%q is believed", xattrs)
		}
		if len(xattrs) > 0 {
			if again, ok := decodeXattrs(encodeXattrs(xattrs)); !ok || !maps.Equal(again, xattrs) {
				t.Errorf("read %q, then %q, %v", xattrs, again, ok)
			}
		}
		obj := objstore.Object{LastModified: modified, Attributes: objstore.Attributes{Metadata: map[string]string{"xattr": text}}}
		attr, line, foreign := Decode(obj, false, defaults)
		encoded, err := Encode(attr, line, foreign, true)
		if errors.Is(err, ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !ok && encoded.Metadata["xattr"] != text {
			t.Errorf("%q became %q", text, encoded.Metadata["xattr"])
		}
		obj.Attributes = encoded
		if again, _, _ := Decode(obj, false, defaults); !reflect.DeepEqual(again, attr) {
			t.Errorf("read %+v, then %+v", attr, again)
		}
	})
}
