package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// hiddenName is the folder, at the top of a bucket, of everything that is ours and no
// volume's.
const hiddenName = ".objvol"

// VolumesPrefix is what the keys of all volumes' records begin with. Listed with a
// delimiter it gives one common prefix per volume.
const VolumesPrefix = hiddenName + "/volumes/"

// IsRecord reports whether a key is that of a record of some volume. Names in overflow form
// lie there too.
func IsRecord(key string) bool { return strings.HasPrefix(key, VolumesPrefix) }

// Records knows the keys that objvol keeps beside a volume. It is a value.
type Records struct {
	base string // ends in "/"
}

// Records returns the keys of the volume's records.
func (l Layout) Records() Records {
	// No prefix begins with "/", so that an escaped slash in front is ours to give:
	// alone it is the empty prefix, with a hash one that is too long for a component.
	bare := strings.TrimSuffix(l.prefix, "/")
	component := Escape(bare)
	switch {
	case bare == "":
		component = Escape("/")
	case len(component) > MaxDirName:
		sum := sha256.Sum256([]byte(bare))
		component = Escape("/") + hex.EncodeToString(sum[:])
	}
	return Records{base: VolumesPrefix + component + "/"}
}

// Prefix is what the keys of all records of the volume begin with.
func (r Records) Prefix() string { return r.base }

// VolumeRecord is the key of the volume's Definition.
func (r Records) VolumeRecord() string { return r.base + "volume.json" }

// Lease is the key of the lease by which one host holds the volume.
func (r Records) Lease() string { return r.base + "lease" }

// Link is the key of the record of a group of hard links.
func (r Records) Link(group string) string { return r.links() + group }

// Group is the inverse of Link; it is false for every other key.
func (r Records) Group(key string) (group string, ok bool) {
	group, ok = strings.CutPrefix(key, r.links())
	return group, ok && isToken(group)
}

func (r Records) links() string { return r.base + "links/" }

// Moving is where an inode's content waits while a cycle of renames is undone
// (hard-cases 8). All of them begin with MovingPrefix.
func (r Records) Moving(ino uint64) string { return r.MovingPrefix() + decimal(ino) }

// MovingPrefix is what the keys of Moving begin with, to sweep leftovers.
func (r Records) MovingPrefix() string { return r.base + "moving/" }

// Orphan is where the content of an open file stays whose key goes to others
// (hard-cases 22). All of them begin with OrphanPrefix.
func (r Records) Orphan(ino uint64) string { return r.OrphanPrefix() + decimal(ino) }

// OrphanPrefix is what the keys of Orphan begin with, to sweep leftovers.
func (r Records) OrphanPrefix() string { return r.base + "orphans/" }

// LongPrefix is what all keys in overflow form begin with. Listed with a delimiter it
// gives one common prefix per directory that has such keys: its Folder.LongPrefix.
func (r Records) LongPrefix() string { return r.base + "long/" }

// Probe is the prefix under which a store's capabilities are tried out.
func (r Records) Probe() string { return r.base + "probe/" }

// root is the key of the root's marker at an empty prefix, where no key is left for it.
func (r Records) root() string { return r.base + "root/" }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
