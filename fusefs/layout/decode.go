package layout

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"objvol/objstore"
)

// Decode reads what an object says about its inode. isDir says that the key ends in
// "/", which decides over every mode. It believes nothing that does not fit: a value
// that cannot be read, or a type that the object's size contradicts, gives way to the
// defaults, and missing times to LastModified. The zero Lineage is an object that we
// have not written.
func Decode(obj objstore.Object, isDir bool, defaults Defaults) (Attr, Lineage, Foreign) {
	metadata := obj.Metadata
	attr := Attr{
		Mode: decodeMode(metadata, obj.Size, isDir, defaults),
		UID:  decodeID(metadata, metaUID, awsOwner, defaults.UID),
		GID:  decodeID(metadata, metaGID, awsGroup, defaults.GID),
	}
	if isDevice(attr.Mode) {
		if rdev, ok := parseUint32(metadata[metaRdev], 0); ok {
			attr.Rdev = rdev
		}
	}
	if !isDir {
		attr.Link = decodeLink(metadata[metaLink])
		attr.Links, _ = parseUint32(metadata[metaLinks], 10)
	}
	attr.Xattrs, _ = decodeXattrs(metadata[metaXattr])
	attr.Mtime = decodeTime(metadata, obj.LastModified, metaMtime, awsMtime)
	attr.Ctime = decodeTime(metadata, obj.LastModified, metaCtime)
	if attr.Ctime.IsZero() {
		attr.Ctime = attr.Mtime
	}
	attr.Atime = decodeTime(metadata, attr.Mtime, metaAtime, awsAtime)
	lineage := parseLineage(metadata[metaGen])
	if attr.Link != "" {
		attr.LinkGen = lineage.Gen
	}
	return attr, lineage, decodeForeign(obj.Attributes, isDir)
}

// decodeMode reads s3fs's mode (C notation: decimal, octal with a leading zero) or
// AWS's (octal).
func decodeMode(metadata map[string]string, size int64, isDir bool, defaults Defaults) uint32 {
	mode, ok := parseUint32(metadata[metaMode], 0)
	if !ok {
		mode, ok = parseUint32(metadata[awsPermissions], 8)
	}
	switch {
	case !ok && isDir:
		return TypeDir | defaults.DirMode&permMask
	case !ok:
		return TypeRegular | defaults.FileMode&permMask
	case isDir:
		return TypeDir | mode&permMask
	}
	switch mode & TypeMask {
	case TypeSymlink:
		if 0 < size && size <= maxTarget {
			return TypeSymlink | mode&permMask
		}
	case TypeFifo, TypeSocket, TypeChar, TypeBlock:
		if size == 0 {
			return mode & (TypeMask | permMask)
		}
	}
	return TypeRegular | mode&permMask
}

// decodeLink reads the name of a group of hard links.
func decodeLink(text string) string {
	if !isToken(text) {
		return ""
	}
	return text
}

// decodeID reads a user or group. The highest number is no id: chown(2) means "keep" by it.
func decodeID(metadata map[string]string, name, awsName string, otherwise uint32) uint32 {
	for _, name := range []string{name, awsName} {
		if id, ok := parseUint32(metadata[name], 0); ok && id != 1<<32-1 {
			return id
		}
	}
	return otherwise
}

// decodeTime reads the first of some metadata that is a time.
func decodeTime(metadata map[string]string, otherwise time.Time, names ...string) time.Time {
	for _, name := range names {
		if t, ok := parseTime(metadata[name]); ok {
			return t
		}
	}
	return otherwise
}

// decodeForeign leaves out what Encode writes again by itself.
func decodeForeign(attrs objstore.Attributes, isDir bool) Foreign {
	foreign := Foreign{ContentType: attrs.ContentType}
	if isDir || foreign.ContentType == octetStream {
		foreign.ContentType = ""
	}
	if len(attrs.Headers) > 0 {
		foreign.Headers = maps.Clone(attrs.Headers)
	}
	for name, value := range attrs.Metadata {
		if attributeNames[name] || name == metaXattr && readableXattrs(value) {
			continue
		}
		if foreign.Metadata == nil {
			foreign.Metadata = make(map[string]string)
		}
		foreign.Metadata[name] = value
	}
	return foreign
}

// parseUint32 reads a number as C does for a base of 0. Go's underscores are refused.
func parseUint32(text string, base int) (uint32, bool) {
	if strings.IndexByte(text, '_') >= 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(text, base, 32)
	return uint32(n), err == nil
}
