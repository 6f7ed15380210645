package layout

import (
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"objvol/objstore"
)

var (
	defaults = Defaults{UID: 10, GID: 20, FileMode: 0o640, DirMode: 0o750}
	modified = time.Unix(1_700_000_000, 0).UTC()
)

func TestEncode(t *testing.T) {
	attr := Attr{
		Mode: 0o100644, UID: 1, GID: 2,
		Mtime: time.Unix(1_600_000_000, 5), Ctime: time.Unix(-2, 500_000_000),
	}
	lineage := Lineage{State: "0d5b", Ino: 7, Gen: 3, Nonce: "n-1", Key: KeyHash("v/a")}
	foreign := Foreign{
		ContentType: "text/plain",
		Headers:     map[string]string{"Cache-Control": "no-store"},
		Metadata:    map[string]string{"colour": "red", "md5chksum": "x", "mode": "1", "file-mtime": "2"},
	}
	got, err := Encode(attr, lineage, foreign, true)
	want := objstore.Attributes{
		ContentType: "text/plain",
		Headers:     map[string]string{"Cache-Control": "no-store"},
		Metadata: map[string]string{
			"mode": "33188", "uid": "1", "gid": "2", "mtime": "1600000000.000000005", "ctime": "-2.500000000",
			"objvol-gen": "1.0d5b.7.3.n-1." + KeyHash("v/a"), "colour": "red",
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}

	kept, err := Encode(attr, lineage, foreign, false)
	if err != nil || kept.Metadata["md5chksum"] != "x" {
		t.Errorf("with the content unchanged: %v, %v", kept.Metadata, err)
	}
	if len(foreign.Metadata) != 4 {
		t.Errorf("Encode changed its argument: %v", foreign.Metadata)
	}
}

func TestEncodeByType(t *testing.T) {
	for _, tc := range []struct {
		attr        Attr
		contentType string
		rdev        string
	}{
		{Attr{Mode: TypeRegular, Rdev: 5}, "application/octet-stream", ""},
		{Attr{Mode: TypeSymlink}, "application/octet-stream", ""},
		{Attr{Mode: TypeDir}, "application/x-directory", ""},
		{Attr{Mode: TypeChar, Rdev: 259}, "application/octet-stream", "259"},
		{Attr{Mode: TypeBlock, Rdev: 1<<32 - 1}, "application/octet-stream", "4294967295"},
	} {
		got, err := Encode(tc.attr, Lineage{}, Foreign{}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got.ContentType != tc.contentType || got.Metadata["rdev"] != tc.rdev {
			t.Errorf("mode %o: %q, rdev %q", tc.attr.Mode, got.ContentType, got.Metadata["rdev"])
		}
		for _, name := range []string{"mtime", "ctime", "atime", "objvol-gen"} {
			if value, ok := got.Metadata[name]; ok {
				t.Errorf("mode %o: %s is %q though there is none", tc.attr.Mode, name, value)
			}
		}
	}
}

func TestEncodeRefusesLineage(t *testing.T) {
	good := Lineage{State: "s", Ino: 1, Gen: 1, Nonce: "n", Key: "k"}
	for _, change := range []func(*Lineage){
		func(l *Lineage) { l.State = "" },
		func(l *Lineage) { l.Nonce = "a.b" },
		func(l *Lineage) { l.Key = "é" },
		func(l *Lineage) { l.State = strings.Repeat("s", maxToken+1) },
	} {
		bad := good
		change(&bad)
		if _, err := Encode(Attr{Mode: TypeRegular}, bad, Foreign{}, false); err == nil {
			t.Errorf("lineage %+v was written", bad)
		}
	}
}

// TestReserve: whatever our own attributes are, they fit into what foreign metadata
// has to leave, and foreign metadata that leaves less is refused.
func TestReserve(t *testing.T) {
	longest := time.Unix(-9_000_000_000, 999_999_999)
	token := strings.Repeat("t", maxToken)
	attr := Attr{Mode: 1<<32 - 1&^TypeMask | TypeBlock, UID: 1<<32 - 1, GID: 1<<32 - 1, Rdev: 1<<32 - 1, Atime: longest, Mtime: longest, Ctime: longest, Link: token, Links: 1<<32 - 1}
	lineage := Lineage{State: token, Ino: 1<<64 - 1, Gen: 1<<64 - 1, Nonce: token, Key: token}
	room := objstore.MaxMetadata - Reserve - len(metadataPrefix) - len("a")
	full := Foreign{Metadata: map[string]string{"a": strings.Repeat("v", room)}}
	got, err := Encode(attr, lineage, full, false)
	if err != nil {
		t.Fatal(err)
	}
	if size := metadataSize(got.Metadata); size > objstore.MaxMetadata {
		t.Errorf("%d bytes of metadata, the limit is %d", size, objstore.MaxMetadata)
	}
	full.Metadata["a"] += "v"
	if _, err := Encode(Attr{Mode: TypeRegular}, Lineage{}, full, false); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v, want ErrTooLarge", err)
	}
}

func TestDecodeMode(t *testing.T) {
	for _, tc := range []struct {
		metadata map[string]string
		size     int64
		isDir    bool
		want     uint32
	}{
		{nil, 1, false, TypeRegular | 0o640},
		{nil, 0, true, TypeDir | 0o750},
		{map[string]string{"mode": "33188"}, 1, false, TypeRegular | 0o644},
		{map[string]string{"mode": "0100755"}, 1, false, TypeRegular | 0o755},
		{map[string]string{"mode": "0x81A4"}, 1, false, TypeRegular | 0o644},
		{map[string]string{"mode": "0600"}, 1, false, TypeRegular | 0o600},
		{map[string]string{"mode": "0"}, 1, false, TypeRegular},
		{map[string]string{"mode": "16877"}, 0, true, TypeDir | 0o755},
		{map[string]string{"mode": "33188"}, 0, true, TypeDir | 0o644},
		{map[string]string{"mode": "16877"}, 0, false, TypeRegular | 0o755},
		{map[string]string{"mode": "0104755"}, 1, false, TypeRegular | 0o4755},
		{map[string]string{"mode": "41471"}, 9, false, TypeSymlink | 0o777},
		{map[string]string{"mode": "41471"}, 0, false, TypeRegular | 0o777},
		{map[string]string{"mode": "41471"}, 4095, false, TypeSymlink | 0o777},
		{map[string]string{"mode": "41471"}, 4096, false, TypeRegular | 0o777},
		{map[string]string{"mode": "0010644"}, 0, false, TypeFifo | 0o644},
		{map[string]string{"mode": "0010644"}, 1, false, TypeRegular | 0o644},
		{map[string]string{"mode": "0140755"}, 0, false, TypeSocket | 0o755},
		{map[string]string{"mode": "0020644"}, 0, false, TypeChar | 0o644},
		{map[string]string{"mode": "0060644"}, 0, false, TypeBlock | 0o644},
		{map[string]string{"mode": "0170644"}, 0, false, TypeRegular | 0o644},
		{map[string]string{"mode": "0xFFFFFFFF"}, 0, false, TypeRegular | 0o7777},
		{map[string]string{"file-permissions": "0100755"}, 1, false, TypeRegular | 0o755},
		{map[string]string{"file-permissions": "755"}, 1, false, TypeRegular | 0o755},
		{map[string]string{"file-permissions": "0120777"}, 5, false, TypeSymlink | 0o777},
		{map[string]string{"mode": "33188", "file-permissions": "0100755"}, 1, false, TypeRegular | 0o644},
		{map[string]string{"mode": "rw", "file-permissions": "0100755"}, 1, false, TypeRegular | 0o755},
		{map[string]string{"mode": ""}, 1, false, TypeRegular | 0o640},
		{map[string]string{"mode": "-1"}, 1, false, TypeRegular | 0o640},
		{map[string]string{"mode": "4294967296"}, 1, false, TypeRegular | 0o640},
		{map[string]string{"mode": "3_3"}, 1, false, TypeRegular | 0o640},
		{map[string]string{"mode": "drwx", "file-permissions": "9"}, 1, true, TypeDir | 0o750},
	} {
		obj := objstore.Object{Size: tc.size, LastModified: modified, Attributes: objstore.Attributes{Metadata: tc.metadata}}
		if got, _, _ := Decode(obj, tc.isDir, defaults); got.Mode != tc.want {
			t.Errorf("%v, %d bytes, directory %v: mode %o, want %o", tc.metadata, tc.size, tc.isDir, got.Mode, tc.want)
		}
	}
}

func TestDecodeOwnerAndTimes(t *testing.T) {
	for _, tc := range []struct {
		metadata map[string]string
		want     Attr
	}{
		{nil, Attr{UID: 10, GID: 20, Atime: modified, Mtime: modified, Ctime: modified}},
		{
			map[string]string{"uid": "1", "gid": "0", "mtime": "5.000000007", "ctime": "6", "atime": "8"},
			Attr{UID: 1, GID: 0, Mtime: time.Unix(5, 7).UTC(), Ctime: time.Unix(6, 0).UTC(), Atime: time.Unix(8, 0).UTC()},
		},
		{
			map[string]string{"file-owner": "3", "file-group": "4", "file-mtime": "1595002920000000001ns", "file-atime": "2ns"},
			Attr{UID: 3, GID: 4, Mtime: time.Unix(1_595_002_920, 1).UTC(), Ctime: modified, Atime: time.Unix(0, 2).UTC()},
		},
		{
			map[string]string{"uid": "4294967295", "gid": "root", "mtime": "yesterday", "ctime": "", "atime": "1.x"},
			Attr{UID: 10, GID: 20, Atime: modified, Mtime: modified, Ctime: modified},
		},
		{
			map[string]string{"uid": "-1", "file-owner": "7", "mtime": "x", "file-mtime": "9"},
			Attr{UID: 7, GID: 20, Mtime: time.Unix(9, 0).UTC(), Ctime: modified, Atime: time.Unix(9, 0).UTC()},
		},
	} {
		tc.want.Mode = TypeRegular | 0o640
		obj := objstore.Object{Size: 1, LastModified: modified, Attributes: objstore.Attributes{Metadata: tc.metadata}}
		if got, _, _ := Decode(obj, false, defaults); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v:\ngot  %+v\nwant %+v", tc.metadata, got, tc.want)
		}
	}

	// The answer of a write has no LastModified.
	obj := objstore.Object{Attributes: objstore.Attributes{Metadata: map[string]string{"mtime": "5"}}}
	if got, _, _ := Decode(obj, false, defaults); !got.Ctime.Equal(time.Unix(5, 0)) {
		t.Errorf("ctime %v without any, want the mtime", got.Ctime)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"0":                              time.Unix(0, 0),
		"1700000000":                     time.Unix(1_700_000_000, 0),
		"1700000000.000000001":           time.Unix(1_700_000_000, 1),
		"1700000000.5":                   time.Unix(1_700_000_000, 500_000_000),
		"1700000000.":                    time.Unix(1_700_000_000, 0),
		"1700000000.1234567899":          time.Unix(1_700_000_000, 123_456_789),
		"-1":                             time.Unix(-1, 0),
		"-2.500000000":                   time.Unix(-2, 500_000_000),
		"-1.5":                           time.Unix(-2, 500_000_000),
		"-0.5":                           time.Unix(-1, 500_000_000),
		"1700000000123ms":                time.Unix(1_700_000_000, 123_000_000),
		"-1ns":                           time.Unix(-1, 999_999_999),
		"2023-11-14T22:13:20.5+01:00":    time.Unix(1_699_996_400, 500_000_000),
		"15032385535.999999999":          time.Unix(15_032_385_535, 999_999_999),
		"-2147483648":                    time.Unix(-2_147_483_648, 0),
		"0001700000000":                  time.Unix(1_700_000_000, 0),
		"2023-11-14T22:13:20.123456789Z": time.Unix(1_700_000_000, 123_456_789),
	} {
		if got, ok := parseTime(text); !ok || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v, want %v", text, got, ok, want.UTC())
		}
	}
	for _, text := range []string{
		"", ".", ".5", "-", "x", "1.x", "1.-5", "1.+5", "1e9", "0x10", "ns", "1.5ns", "9223372036854775807", "17179869185", "-17179869185",
		"9223372036854775807ms", "99999999999999999999", "1 ", "0001-01-01T00:00:00Z", "1.\x00",
	} {
		if got, ok := parseTime(text); ok {
			t.Errorf("parseTime(%q) = %v, want none", text, got)
		}
	}
}

func TestDecodeForeign(t *testing.T) {
	attrs := objstore.Attributes{
		ContentType: "image/png",
		Headers:     map[string]string{"Expires": "0"},
		Metadata:    map[string]string{"colour": "red", "xattr": "[1]", "mode": "33188", "file-owner": "0", "objvol-gen": "junk"},
	}
	_, lineage, foreign := Decode(objstore.Object{Attributes: attrs}, false, defaults)
	want := Foreign{ContentType: "image/png", Headers: map[string]string{"Expires": "0"}, Metadata: map[string]string{"colour": "red", "xattr": "[1]"}}
	if !reflect.DeepEqual(foreign, want) || lineage != (Lineage{}) {
		t.Errorf("got %+v, %+v", foreign, lineage)
	}
	for _, tc := range []struct {
		contentType string
		isDir       bool
	}{{"application/octet-stream", false}, {"application/x-directory", true}, {"httpd/unix-directory", true}} {
		_, _, foreign := Decode(objstore.Object{Attributes: objstore.Attributes{ContentType: tc.contentType}}, tc.isDir, defaults)
		if !reflect.DeepEqual(foreign, Foreign{}) {
			t.Errorf("%s, directory %v: %+v", tc.contentType, tc.isDir, foreign)
		}
	}
}

func TestParseLineage(t *testing.T) {
	want := Lineage{State: "s_-", Ino: 1<<64 - 1, Gen: 0, Nonce: "n", Key: "k"}
	if got := parseLineage("1.s_-.18446744073709551615.0.n.k"); got != want {
		t.Errorf("got %+v", got)
	}
	for _, text := range []string{"", "1", "2.s.1.1.n.k", "1.s.1.1.n", "1.s.1.1.n.k.x", "1..1.1.n.k", "1.s.-1.1.n.k", "1.s.1.x.n.k", "1.s.1.1.n n.k", "1.s.1.1.n."} {
		if got := parseLineage(text); got != (Lineage{}) {
			t.Errorf("parseLineage(%q) = %+v", text, got)
		}
	}
}

// TestAttrRoundTrip: what Encode writes, Decode reads.
func TestAttrRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	anyTime := func() time.Time {
		at := time.Unix(random.Int64N(2*9_223_372_035)-9_223_372_035, 0)
		if random.IntN(2) == 0 {
			at = at.Add(time.Duration(random.IntN(1_000_000_000)))
		}
		return at.UTC()
	}
	types := []uint32{TypeRegular, TypeDir, TypeSymlink, TypeFifo, TypeSocket, TypeChar, TypeBlock}
	for range 2_000 {
		kind := types[random.IntN(len(types))]
		attr := Attr{
			Mode: kind | random.Uint32N(permMask+1), UID: random.Uint32N(1<<32 - 1), GID: random.Uint32N(1<<32 - 1),
			Atime: anyTime(), Mtime: anyTime(), Ctime: anyTime(),
		}
		if isDevice(kind) {
			attr.Rdev = random.Uint32()
		}
		if kind != TypeDir && random.IntN(2) == 0 {
			attr.Link, attr.Links = "group-1", random.Uint32()
		}
		if random.IntN(2) == 0 {
			attr.Xattrs = map[string]string{"user.\xff": "\x00", "trusted.a": strings.Repeat("x", random.IntN(1000))}
		}
		lineage := Lineage{State: "s", Ino: random.Uint64(), Gen: random.Uint64(), Nonce: "n", Key: KeyHash("k")}
		foreign := Foreign{ContentType: "text/css", Headers: map[string]string{"Expires": "0"}, Metadata: map[string]string{"a": "b"}}
		if kind == TypeDir {
			foreign.ContentType = ""
		}
		encoded, err := Encode(attr, lineage, foreign, true)
		if err != nil {
			t.Fatal(err)
		}
		obj := objstore.Object{LastModified: modified, Attributes: encoded}
		if kind == TypeSymlink {
			obj.Size = 1
		}
		gotAttr, gotLineage, gotForeign := Decode(obj, kind == TypeDir, defaults)
		if attr.Link != "" {
			attr.LinkGen = lineage.Gen
		}
		if !reflect.DeepEqual(gotAttr, attr) || gotLineage != lineage || !reflect.DeepEqual(gotForeign, foreign) {
			t.Fatalf("wrote %+v %+v %+v\nread  %+v %+v %+v\nfrom  %v", attr, lineage, foreign, gotAttr, gotLineage, gotForeign, encoded)
		}
	}
}

// FuzzDecode: whatever an object carries, what is made of it is sound, and survives
// being written and read again.
func FuzzDecode(f *testing.F) {
	f.Add("33188", "0", "1700000000.5", "1.s.1.2.n.k", "0100644", "1595002920000000000ns", "text/plain", int64(3), false)
	f.Add("41471", "-1", "-1.5", "1.s", "9", "ms", "", int64(0), true)
	f.Fuzz(func(t *testing.T, mode, id, at, lineage, permissions, awsTime, contentType string, size int64, isDir bool) {
		obj := objstore.Object{Size: size, LastModified: modified, Attributes: objstore.Attributes{
			ContentType: contentType,
			Metadata: map[string]string{
				"mode": mode, "uid": id, "gid": id, "rdev": id, "mtime": at, "ctime": at, "atime": at, "objvol-gen": lineage,
				"file-permissions": permissions, "file-mtime": awsTime, "file-owner": id,
			},
		}}
		before := maps.Clone(obj.Metadata)
		attr, line, foreign := Decode(obj, isDir, defaults)
		if !maps.Equal(before, obj.Metadata) {
			t.Error("Decode changed the object")
		}
		switch kind := attr.Mode & TypeMask; kind {
		case TypeDir:
			if !isDir {
				t.Errorf("a directory without a slash: %o", attr.Mode)
			}
		case TypeRegular, TypeSymlink, TypeFifo, TypeSocket, TypeChar, TypeBlock:
			if isDir {
				t.Errorf("a slash without a directory: %o", attr.Mode)
			}
		default:
			t.Errorf("no type: %o", attr.Mode)
		}
		for _, at := range []time.Time{attr.Atime, attr.Mtime, attr.Ctime} {
			if !time.Unix(0, at.UnixNano()).Equal(at) {
				t.Errorf("time %v does not fit nanoseconds", at)
			}
		}
		encoded, err := Encode(attr, line, foreign, false)
		if err != nil {
			t.Fatal(err)
		}
		obj.Attributes = encoded
		again, lineAgain, foreignAgain := Decode(obj, isDir, defaults)
		if !reflect.DeepEqual(again, attr) || lineAgain != line || !reflect.DeepEqual(foreignAgain, foreign) {
			t.Errorf("read %+v %+v %+v\nthen %+v %+v %+v", attr, line, foreign, again, lineAgain, foreignAgain)
		}
	})
}
