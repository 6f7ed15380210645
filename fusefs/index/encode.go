package index

import (
	"encoding/binary"
	"slices"
	"time"

	"objvol/fusefs/extent"
)

// The versions of the records' encodings. A decoder knows every version that was ever
// written. An inode of version 1 has no extended attributes and no hard links, a content of
// version 1 no holes, one of version 2 does not know what is the same in its object, a key
// of version 1 has no place.
const (
	inodeVersion   = 2
	contentVersion = 3
	keyVersion     = 2
	entryVersion   = 1
	orderVersion   = 1
)

// Flags of an inode.
const (
	flagVague = 1 << iota
	flagDir
	flagListed
)

// Flags of a key.
const (
	flagGone = 1 << iota
	flagBare
)

// numbersRoom is room for the numbers of most records, in bytes.
const numbersRoom = 64

// appendInode leaves out the number: it is in the key.
func appendInode(b []byte, n *Inode) []byte {
	b = slices.Grow(b, numbersRoom+len(n.Target)+len(n.Placed)+len(n.Sending)+len(n.Link))
	b = append(b, inodeVersion)
	for _, v := range [...]uint32{n.Mode, n.UID, n.GID, n.Rdev, n.Nlink} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendVarint(b, n.Size)
	b = appendTime(b, n.Atime)
	b = appendTime(b, n.Mtime)
	b = appendTime(b, n.Ctime)
	b = appendString(b, n.Target)
	b = binary.AppendUvarint(b, n.Gen)
	b = binary.AppendUvarint(b, n.AttrGen)
	b = appendString(b, n.Placed)
	b = binary.AppendUvarint(b, n.PlacedGen)
	b = binary.AppendUvarint(b, n.PlacedAttrGen)
	b = appendString(b, n.Sending)
	b = appendMap(b, n.Xattrs)
	b = appendString(b, n.Link)
	b = binary.AppendUvarint(b, uint64(n.Record))
	b = binary.AppendUvarint(b, uint64(n.Of))
	var flags byte
	if n.Vague {
		flags |= flagVague
	}
	if n.Dir == nil {
		return append(b, flags)
	}
	flags |= flagDir
	if n.Dir.Listed {
		flags |= flagListed
	}
	b = append(b, flags)
	b = appendTime(b, n.Dir.ListedAt)
	return binary.AppendVarint(b, int64(n.Dir.Took))
}

// versionOf returns the version that a record says it has, the newest at most.
func versionOf(b []byte, newest byte) byte {
	if len(b) > 0 && b[0] < newest {
		return max(b[0], 1)
	}
	return newest
}

func decodeInode(ino Ino, b []byte) (Inode, error) {
	version := versionOf(b, inodeVersion)
	d := decode(b, version)
	n := Inode{Ino: ino}
	for _, v := range [...]*uint32{&n.Mode, &n.UID, &n.GID, &n.Rdev, &n.Nlink} {
		*v = d.uint32()
	}
	n.Size = d.varint()
	n.Atime = d.time()
	n.Mtime = d.time()
	n.Ctime = d.time()
	n.Target = d.string()
	n.Gen = d.uvarint()
	n.AttrGen = d.uvarint()
	n.Placed = d.string()
	n.PlacedGen = d.uvarint()
	n.PlacedAttrGen = d.uvarint()
	n.Sending = d.string()
	if version > 1 {
		n.Xattrs = d.pairs()
		n.Link = d.string()
		n.Record = Ino(d.uvarint())
		n.Of = Ino(d.uvarint())
	}
	flags := d.byte()
	n.Vague = flags&flagVague != 0
	if flags&flagDir != 0 {
		n.Dir = &Dir{Listed: flags&flagListed != 0}
		n.Dir.ListedAt = d.time()
		n.Dir.Took = time.Duration(d.varint())
	}
	return n, d.done()
}

func appendContent(b []byte, c *Content) []byte {
	b = append(b, contentVersion)
	b = binary.AppendUvarint(b, c.File)
	b = binary.AppendVarint(b, c.BaseLen)
	b = c.Resident.AppendBinary(b)
	b = c.Holes.AppendBinary(b)
	b = binary.AppendUvarint(b, c.SameGen)
	return c.Same.AppendBinary(b)
}

func decodeContent(b []byte) (Content, error) {
	version := versionOf(b, contentVersion)
	d := decode(b, version)
	c := Content{File: d.uvarint(), BaseLen: d.varint()}
	var err error
	if c.Resident, d.b, err = extent.Decode(d.b); err != nil {
		return Content{}, errMalformed
	}
	if version > 1 {
		if c.Holes, d.b, err = extent.Decode(d.b); err != nil {
			return Content{}, errMalformed
		}
	}
	if version > 2 {
		c.SameGen = d.uvarint()
		if c.Same, d.b, err = extent.Decode(d.b); err != nil {
			return Content{}, errMalformed
		}
	}
	return c, d.done()
}

// appendKey leaves out the key itself.
func appendKey(b []byte, k *Key) []byte {
	var flags byte
	if k.Gone {
		flags |= flagGone
	}
	if k.Bare {
		flags |= flagBare
	}
	b = slices.Grow(b, numbersRoom+len(k.ETag)+len(k.Request)+len(k.Foreign.ContentType)+len(k.At.Name))
	b = append(b, keyVersion, flags)
	b = appendString(b, k.ETag)
	b = appendTime(b, k.LastModified)
	b = binary.AppendVarint(b, k.Size)
	b = binary.AppendUvarint(b, uint64(k.Owner))
	b = appendString(b, k.Request)
	b = appendString(b, k.Foreign.ContentType)
	b = appendMap(b, k.Foreign.Headers)
	b = appendMap(b, k.Foreign.Metadata)
	b = binary.AppendUvarint(b, uint64(k.At.Parent))
	return appendString(b, k.At.Name)
}

func decodeKey(key string, b []byte) (Key, error) {
	version := versionOf(b, keyVersion)
	d := decode(b, version)
	flags := d.byte()
	k := Key{Key: key, Gone: flags&flagGone != 0, Bare: flags&flagBare != 0}
	k.ETag = d.string()
	k.LastModified = d.time()
	k.Size = d.varint()
	k.Owner = Ino(d.uvarint())
	k.Request = d.string()
	k.Foreign.ContentType = d.string()
	k.Foreign.Headers = d.pairs()
	k.Foreign.Metadata = d.pairs()
	if version > 1 {
		k.At.Parent = Ino(d.uvarint())
		k.At.Name = d.string()
	}
	return k, d.done()
}

// entry is what the record of a name holds.
type entry struct {
	ino    Ino
	cookie uint64
}

func appendEntry(b []byte, e entry) []byte {
	b = binary.AppendUvarint(append(b, entryVersion), uint64(e.ino))
	return binary.AppendUvarint(b, e.cookie)
}

func decodeEntry(b []byte) (entry, error) {
	d := decode(b, entryVersion)
	e := entry{ino: Ino(d.uvarint()), cookie: d.uvarint()}
	return e, d.done()
}

// appendOrder leaves out the cookie: it is in the key.
func appendOrder(b []byte, ino Ino, name string) []byte {
	return append(binary.AppendUvarint(append(b, orderVersion), uint64(ino)), name...)
}

func decodeOrder(cookie uint64, b []byte) (Dirent, error) {
	d := decode(b, orderVersion)
	e := Dirent{Cookie: cookie, Ino: Ino(d.uvarint())}
	e.Name = d.rest()
	return e, d.done()
}
