package index

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// some gives random values of every size, the edges among them.
type some struct{ *rand.Rand }

func (s some) u64() uint64 { return s.Uint64() >> s.IntN(65) }
func (s some) i64() int64  { return int64(s.u64()) }
func (s some) u32() uint32 { return uint32(s.u64()) }
func (s some) bool() bool  { return s.IntN(2) == 0 }

func (s some) text() string {
	b := make([]byte, s.IntN(4)*s.IntN(90))
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return string(b)
}

func (s some) time() time.Time {
	switch s.IntN(4) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(-s.Int64N(1<<33), s.Int64N(1e9)).UTC()
	default:
		return time.Unix(s.Int64N(1<<34), s.Int64N(1e9)).UTC()
	}
}

func (s some) pairs() map[string]string {
	if s.bool() {
		return nil
	}
	m := map[string]string{"": ""}
	for range s.IntN(4) {
		m[s.text()] = s.text()
	}
	return m
}

func (s some) inode() Inode {
	n := Inode{
		Ino: Ino(s.u64()), Mode: s.u32(), UID: s.u32(), GID: s.u32(), Rdev: s.u32(), Nlink: s.u32(), Size: s.i64(),
		Atime: s.time(), Mtime: s.time(), Ctime: s.time(), Target: s.text(), Gen: s.u64(), AttrGen: s.u64(),
		Placed: s.text(), PlacedGen: s.u64(), PlacedAttrGen: s.u64(), Sending: s.text(), Vague: s.bool(),
		Xattrs: s.pairs(), Link: s.text(), Record: Ino(s.u64()), Of: Ino(s.u64()),
	}
	if s.bool() {
		n.Dir = &Dir{Listed: s.bool(), ListedAt: s.time(), Took: time.Duration(s.i64())}
	}
	return n
}

func (s some) content() Content {
	c := Content{File: s.u64(), BaseLen: s.i64(), SameGen: s.u64()}
	for range s.IntN(5) {
		c.Resident.Add(s.Int64N(1<<45), s.Int64N(1<<25))
		c.Holes.Add(s.Int64N(1<<45), s.Int64N(1<<25))
		c.Same.Add(s.Int64N(1<<45), s.Int64N(1<<25))
	}
	return c
}

func (s some) key() Key {
	return Key{
		Key: s.text(), ETag: s.text(), LastModified: s.time(), Size: s.i64(), Owner: Ino(s.u64()), Gone: s.bool(), Bare: s.bool(),
		Request: s.text(), Foreign: Foreign{ContentType: s.text(), Headers: s.pairs(), Metadata: s.pairs()},
		At: Name{Parent: Ino(s.u64()), Name: s.text()},
	}
}

func same[T any](t *testing.T, want, got T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("error %v\nwant %+v\ngot  %+v", err, want, got)
	}
}

func TestRecordsSurviveEncoding(t *testing.T) {
	for seed := range uint64(2000) {
		s := some{rand.New(rand.NewPCG(seed, 2))}
		n := s.inode()
		gotInode, err := decodeInode(n.Ino, appendInode(nil, &n))
		same(t, n, gotInode, err)

		c := s.content()
		gotContent, err := decodeContent(appendContent(nil, &c))
		if !c.Resident.Equal(gotContent.Resident) {
			t.Fatalf("resident: want %v, got %v", c.Resident.Ranges(), gotContent.Resident.Ranges())
		}
		if !c.Holes.Equal(gotContent.Holes) {
			t.Fatalf("holes: want %v, got %v", c.Holes.Ranges(), gotContent.Holes.Ranges())
		}
		if !c.Same.Equal(gotContent.Same) {
			t.Fatalf("same: want %v, got %v", c.Same.Ranges(), gotContent.Same.Ranges())
		}
		same(t, c.File, gotContent.File, err)
		same(t, c.SameGen, gotContent.SameGen, err)
		same(t, c.BaseLen, gotContent.BaseLen, err)

		k := s.key()
		gotKey, err := decodeKey(k.Key, appendKey(nil, &k))
		same(t, k, gotKey, err)

		e := entry{ino: Ino(s.u64()), cookie: s.u64()}
		gotEntry, err := decodeEntry(appendEntry(nil, e))
		same(t, e, gotEntry, err)

		d := Dirent{Name: s.text(), Ino: Ino(s.u64()), Cookie: s.u64()}
		gotDirent, err := decodeOrder(d.Cookie, appendOrder(nil, d.Ino, d.Name))
		same(t, d, gotDirent, err)
	}
}

// A field that is added to a record and not to its encoding would be lost in silence: here
// it is not. Every field is set to something that is not its zero value.
func TestEveryFieldIsEncoded(t *testing.T) {
	fill := func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.String:
				f.SetString("text")
			case reflect.Bool:
				f.SetBool(true)
			case reflect.Int64:
				f.SetInt(int64(i) + 1)
			case reflect.Uint32, reflect.Uint64:
				f.SetUint(uint64(i) + 1)
			case reflect.Map:
				f.Set(reflect.ValueOf(map[string]string{"a": "b"}))
			default:
				if f.Type() == reflect.TypeFor[time.Time]() {
					f.Set(reflect.ValueOf(time.Unix(int64(i), 5).UTC()))
				}
			}
		}
	}
	dir := Dir{}
	fill(reflect.ValueOf(&dir).Elem())
	n := Inode{}
	fill(reflect.ValueOf(&n).Elem())
	n.Dir = &dir
	gotInode, err := decodeInode(n.Ino, appendInode(nil, &n))
	same(t, n, gotInode, err)

	k := Key{}
	fill(reflect.ValueOf(&k).Elem())
	fill(reflect.ValueOf(&k.Foreign).Elem())
	gotKey, err := decodeKey(k.Key, appendKey(nil, &k))
	same(t, k, gotKey, err)
}

func TestTimesOfEveryAge(t *testing.T) {
	for _, want := range []time.Time{
		{},
		time.Date(1901, 12, 13, 20, 45, 52, 999999999, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC),
		time.Unix(0, 0).UTC(),
		time.Date(2446, 5, 10, 22, 38, 55, 0, time.UTC), // the last of ext4
	} {
		d := decoder{b: appendTime(nil, want)}
		got := d.time()
		same(t, want, got, d.done())
	}
}

func TestDecodingRefuses(t *testing.T) {
	whole := appendInode(nil, &Inode{Mode: 0o100644, Target: "target", Dir: &Dir{Listed: true}})
	for i := range whole {
		if _, err := decodeInode(1, whole[:i]); err == nil {
			t.Errorf("an inode cut at %d of %d was accepted", i, len(whole))
		}
	}
	if _, err := decodeInode(1, append(whole, 0)); err == nil {
		t.Error("an inode with a byte too many was accepted")
	}
	newer := append([]byte{inodeVersion + 1}, whole[1:]...)
	if _, err := decodeInode(1, newer); err == nil {
		t.Error("an inode of an unknown version was accepted")
	}
	big := appendOrder(nil, 1, strings.Repeat("x", 9))
	big[0] = inodeVersion
	big[1] = 0xff // Mode above 32 bits
	if _, err := decodeInode(1, big); err == nil {
		t.Error("a mode of more than 32 bits was accepted")
	}
	d := decoder{b: []byte{0, 0x80, 0x94, 0xeb, 0xdc, 0x03}} // 0 s and 1e9 ns
	if d.time(); d.done() == nil {
		t.Error("a nanosecond of 1e9 was accepted")
	}
}

// FuzzDecode: no bytes make decoding panic, and what it accepts survives another round.
func FuzzDecode(f *testing.F) {
	s := some{rand.New(rand.NewPCG(7, 7))}
	for range 20 {
		n, c, k := s.inode(), s.content(), s.key()
		f.Add(appendInode(nil, &n))
		f.Add(appendContent(nil, &c))
		f.Add(appendKey(nil, &k))
	}
	f.Add(appendEntry(nil, entry{math.MaxUint64, math.MaxUint64}))
	f.Add(appendOrder(nil, 77, "name"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := decodeInode(1, b); err == nil {
			again, err := decodeInode(1, appendInode(nil, &n))
			same(t, n, again, err)
		}
		if c, err := decodeContent(b); err == nil {
			again, err := decodeContent(appendContent(nil, &c))
			same(t, c, again, err)
		}
		if k, err := decodeKey("k", b); err == nil {
			again, err := decodeKey("k", appendKey(nil, &k))
			same(t, k, again, err)
		}
		if e, err := decodeEntry(b); err == nil {
			again, err := decodeEntry(appendEntry(nil, e))
			same(t, e, again, err)
		}
		if d, err := decodeOrder(1, b); err == nil {
			again, err := decodeOrder(1, appendOrder(nil, d.Ino, d.Name))
			same(t, d, again, err)
		}
	})
}

// The first version of an inode has no extended attributes and no hard links.
func TestDecodingVersion1(t *testing.T) {
	want := Inode{Ino: 7, Mode: 0o100644, Nlink: 1, Sending: "v/a", Vague: true}
	b := appendInode(nil, &want)
	const added = 4 // no pairs, an empty text, two zeros
	flags := len(b) - 1
	old := append([]byte{1}, b[1:flags-added]...)
	if got, err := decodeInode(7, append(old, b[flags])); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// The first version of a key has no place.
func TestDecodingKeyVersion1(t *testing.T) {
	want := Key{Key: "v/a", ETag: "e", Size: 5, Owner: 7, Bare: true}
	b := appendKey(nil, &want)
	const added = 2 // a zero and an empty text
	old := append([]byte{1}, b[1:len(b)-added]...)
	if got, err := decodeKey("v/a", old); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A content of the second version knows nothing of what is the same in its object, one of
// the first has no holes either.
func TestDecodingEarlierContents(t *testing.T) {
	want := Content{File: 3, BaseLen: 10}
	want.Resident.Add(2, 4)
	b := appendContent(nil, &want)
	for version, added := range []int{1: 3, 2: 2} { // of zeros at the end
		if version == 0 {
			continue
		}
		old := append([]byte{byte(version)}, b[1:len(b)-added]...)
		if got, err := decodeContent(old); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: got %+v, %v, want %+v", version, got, err, want)
		}
	}
}
