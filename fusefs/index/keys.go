package index

import "encoding/binary"

// The first byte of a Pebble key says what kind of record it is.
const (
	tagAbout   = 'a' // what -> schema, id, numbers: of the index itself
	tagBack    = 'b' // inode, parent, name -> nothing: the names of an inode
	tagContent = 'c' // inode -> Content
	tagDirty   = 'd' // inode -> nothing: to be reconciled
	tagEntry   = 'e' // parent, name -> inode, cookie
	tagGroup   = 'g' // group of hard links -> inode
	tagSums    = 'h' // inode -> Sums
	tagInode   = 'i' // inode -> Inode
	tagKey     = 'k' // key -> Key
	tagMember  = 'l' // inode, member -> nothing: the members of an inode
	tagMeta    = 'm' // name -> value: the caller's
	tagOrder   = 'o' // parent, cookie -> inode, name: a directory in the order of reading
	tagSubdirs = 'n' // inode -> number of its names that are directories
	tagPassed  = 'p' // inode -> Passed
	tagSubtree = 's' // inode -> nothing: the whole subtree moved
	tagUpload  = 'u' // upload -> key: begun, and not known to be over
	tagDoomed  = 'x' // key -> nothing: to be deleted
	tagOrphan  = 'z' // inode -> nothing: without a name
)

func textKey(tag byte, text string) []byte {
	return append(append(make([]byte, 0, 1+len(text)), tag), text...)
}

func inoKey(tag byte, ino Ino) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), tag), uint64(ino))
}

func entryKey(parent Ino, name string) []byte {
	k := append(make([]byte, 0, 9+len(name)), tagEntry)
	return append(binary.BigEndian.AppendUint64(k, uint64(parent)), name...)
}

func orderKey(parent Ino, cookie uint64) []byte {
	k := append(make([]byte, 0, 17), tagOrder)
	k = binary.BigEndian.AppendUint64(k, uint64(parent))
	return binary.BigEndian.AppendUint64(k, cookie)
}

func backKey(ino, parent Ino, name string) []byte {
	k := append(make([]byte, 0, 17+len(name)), tagBack)
	k = binary.BigEndian.AppendUint64(k, uint64(ino))
	return append(binary.BigEndian.AppendUint64(k, uint64(parent)), name...)
}

func memberKey(of, member Ino) []byte {
	return binary.BigEndian.AppendUint64(inoKey(tagMember, of), uint64(member))
}

// numberAt reads a number of fixed width within a key, 0 if the key is too short for it:
// no inode and no cookie is 0.
func numberAt(key []byte, at int) uint64 {
	if len(key) < at+8 {
		return 0
	}
	return binary.BigEndian.Uint64(key[at:])
}

func inoAt(key []byte, at int) Ino { return Ino(numberAt(key, at)) }

// after is the first key behind all that begin with prefix. No prefix here is of 0xff
// bytes only, since every one begins with a tag.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append(make([]byte, 0, i+1), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
