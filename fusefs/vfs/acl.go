package vfs

import (
	"encoding/binary"
	"math"
	"slices"
)

// acl is a POSIX access control list, with its entries in the order of their tags. What
// is done with it here is acl(5), and what the kernel does for filesystems of its own.
type acl []aclEntry

type aclEntry struct {
	tag  uint16
	perm uint16
	id   uint32 // of aclUser and aclGroup
}

// The tags, in their order within a list.
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

const (
	aclVersion = 2 // of the form that xattrs carry: a number of 4 bytes, then the entries
	aclHead    = 4
	aclEach    = 8
	aclNoID    = math.MaxUint32
)

// parseACL reads the value of a system.posix_acl_ attribute. What is not a whole and
// ordered list is none.
func parseACL(value string) (acl, bool) {
	raw := []byte(value)
	if len(raw) <= aclHead || (len(raw)-aclHead)%aclEach != 0 || binary.LittleEndian.Uint32(raw) != aclVersion {
		return nil, false
	}
	var a acl
	for entry := range slices.Chunk(raw[aclHead:], aclEach) {
		a = append(a, aclEntry{
			tag:  binary.LittleEndian.Uint16(entry),
			perm: binary.LittleEndian.Uint16(entry[2:]),
			id:   binary.LittleEndian.Uint32(entry[4:]),
		})
	}
	return a, a.valid()
}

// valid reports whether there is one entry of each tag that every list has, a mask if
// there are entries of named users or groups, and nothing out of order.
func (a acl) valid() bool {
	var count [aclOther + 1]int
	last := uint16(0)
	for _, e := range a {
		named := e.tag == aclUser || e.tag == aclGroup
		switch e.tag {
		case aclUserObj, aclUser, aclGroupObj, aclGroup, aclMask, aclOther:
		default:
			return false
		}
		if e.perm > 7 || e.tag < last || e.tag == last && !named || named && e.id == aclNoID {
			return false
		}
		count[e.tag]++
		last = e.tag
	}
	return count[aclUserObj] == 1 && count[aclGroupObj] == 1 && count[aclOther] == 1 &&
		(count[aclMask] == 1 || count[aclUser]+count[aclGroup] == 0)
}

// String is the value of the attribute.
func (a acl) String() string {
	raw := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range a {
		id := e.id
		if e.tag != aclUser && e.tag != aclGroup {
			id = aclNoID
		}
		raw = binary.LittleEndian.AppendUint16(raw, e.tag)
		raw = binary.LittleEndian.AppendUint16(raw, e.perm)
		raw = binary.LittleEndian.AppendUint32(raw, id)
	}
	return string(raw)
}

// class returns the entry that a class of permission bits stands for: that of the mask,
// if there is one, for the group's.
func (a acl) class(tag uint16) *aclEntry {
	var found *aclEntry
	for i := range a {
		if e := &a[i]; e.tag == tag || tag == aclGroupObj && e.tag == aclMask {
			found = e // the mask comes after the group
		}
	}
	return found
}

// mode puts a list's permissions into those of a mode, and reports whether the mode then
// says all that the list does.
func (a acl) mode(mode uint32) (_ uint32, equivalent bool) {
	mode &^= 0o777
	mode |= uint32(a.class(aclUserObj).perm)<<6 | uint32(a.class(aclGroupObj).perm)<<3 | uint32(a.class(aclOther).perm)
	return mode, len(a) == 3
}

// chmod returns the list after a chmod(2).
func (a acl) chmod(mode uint32) acl {
	a = slices.Clone(a)
	a.class(aclUserObj).perm = uint16(mode >> 6 & 7)
	a.class(aclGroupObj).perm = uint16(mode >> 3 & 7)
	a.class(aclOther).perm = uint16(mode & 7)
	return a
}

// inherit makes of a directory's default list the list and the mode of a file that is
// created in it: both lose what the other does not grant.
func (a acl) inherit(mode uint32) (acl, uint32) {
	granted, _ := a.mode(0)
	mode &= granted | ^uint32(0o777)
	return a.chmod(mode), mode
}
