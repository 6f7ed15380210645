package layout

import (
	"testing"
	"time"

	"objvol/objstore"
)

// BenchmarkEncode is what the attributes of an object cost that is written, BenchmarkDecode
// those of one that is listed.
func BenchmarkEncode(b *testing.B) {
	attr, lineage := ordinary()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(attr, lineage, Foreign{}, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	attr, lineage := ordinary()
	attrs, err := Encode(attr, lineage, Foreign{}, true)
	if err != nil {
		b.Fatal(err)
	}
	obj := objstore.Object{Size: 4096, LastModified: modified, Attributes: attrs}
	b.ReportAllocs()
	for b.Loop() {
		if got, _, _ := Decode(obj, false, defaults); got.Mode != attr.Mode {
			b.Fatalf("%o", got.Mode)
		}
	}
}

// ordinary is an inode as most are.
func ordinary() (Attr, Lineage) {
	at := time.Unix(1_700_000_000, 123_456_789)
	return Attr{Mode: 0o100644, UID: 1000, GID: 1000, Mtime: at, Ctime: at},
		Lineage{State: "0d5b", Ino: 7, Gen: 3, Nonce: "n-1", Key: KeyHash("v/a")}
}

// BenchmarkKeys is what a name costs on its way to a key, and what the key does in a listing.
func BenchmarkKeys(b *testing.B) {
	l, err := New("team/app")
	if err != nil {
		b.Fatal(err)
	}
	folder, err := l.Folder("var/lib/data")
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct{ of, name string }{{"plain", "a-name.txt"}, {"escaped", "a\x01name\xff"}} {
		name := kind.name
		key, err := folder.Key(name, false)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("key of "+kind.of, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := folder.Key(name, false); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("entry of "+kind.of, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if e := folder.Entry(key); e.Name != name {
					b.Fatalf("%+v", e)
				}
			}
		})
	}
}
