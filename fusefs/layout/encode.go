package layout

import (
	"errors"
	"maps"
	"strings"

	"objvol/objstore"
)

// ErrTooLarge is foreign metadata, or extended attributes, that leave no room for an
// inode's other attributes within objstore.MaxMetadata.
var ErrTooLarge = errors.New("metadata too large for an object")

// Reserve is the room, in bytes of metadata, that is kept for our own attributes, the
// extended ones excepted, whatever they are today (hard-cases 32). Metadata that fits
// once fits for ever.
const Reserve = 512

// Encode returns the attributes of the object that holds an inode. The zero Lineage is
// not written. With changed, the content differs from the one that foreign came with,
// and hashes of it are dropped.
//
// The content type is the foreign one; without one a directory is
// "application/x-directory" and all else the octet stream that S3 assumes. It is not
// guessed from the name: the tables differ from host to host, and a rename would have
// to change it.
//
// Errors: ErrTooLarge, and a lineage that is not made of tokens.
func Encode(attr Attr, lineage Lineage, foreign Foreign, changed bool) (objstore.Attributes, error) {
	metadata, err := attr.beside(foreign, changed)
	if err != nil {
		return objstore.Attributes{}, err
	}
	attr.encode(metadata)
	if lineage != (Lineage{}) {
		text, err := lineage.encode()
		if err != nil {
			return objstore.Attributes{}, err
		}
		metadata[metaGen] = text
	}

	contentType := foreign.ContentType
	switch {
	case attr.Mode&TypeMask == TypeDir:
		contentType = xDirectory
	case contentType == "":
		contentType = octetStream
	}
	return objstore.Attributes{
		ContentType: contentType,
		Headers:     maps.Clone(foreign.Headers),
		Metadata:    metadata,
	}, nil
}

// Disowned returns the attributes of an object that is no inode's any more.
func Disowned(foreign Foreign) objstore.Attributes {
	attrs := objstore.Attributes{
		ContentType: foreign.ContentType, Headers: maps.Clone(foreign.Headers), Metadata: maps.Clone(foreign.Metadata),
	}
	if attrs.ContentType == "" {
		attrs.ContentType = octetStream
	}
	return attrs
}

// encode writes the attributes under the names that s3fs uses.
func (a Attr) encode(metadata map[string]string) {
	metadata[metaMode] = decimal(uint64(a.Mode))
	metadata[metaUID] = decimal(uint64(a.UID))
	metadata[metaGID] = decimal(uint64(a.GID))
	if isDevice(a.Mode) {
		metadata[metaRdev] = decimal(uint64(a.Rdev))
	}
	if a.Link != "" {
		metadata[metaLink] = a.Link
	}
	if a.Links != 0 {
		metadata[metaLinks] = decimal(uint64(a.Links))
	}
	putTime(metadata, metaAtime, a.Atime)
	putTime(metadata, metaMtime, a.Mtime)
	putTime(metadata, metaCtime, a.Ctime)
}

func isDevice(mode uint32) bool {
	return mode&TypeMask == TypeBlock || mode&TypeMask == TypeChar
}

// metadataSize counts as MinIO does, the prefix of the header included. AWS counts less.
func metadataSize(metadata map[string]string) int {
	size := 0
	for name, value := range metadata {
		size += len(metadataPrefix) + len(name) + len(value)
	}
	return size
}

// metadataPrefix begins the header of a piece of user metadata.
const metadataPrefix = "x-amz-meta-"

// isContentHash knows the metadata in which other tools keep hashes of the content:
// rclone (md5chksum), s3cmd (s3cmd-attrs has one among its fields), and the names that
// people choose.
func isContentHash(name string) bool {
	switch strings.ToLower(name) {
	case "md5chksum", "s3cmd-attrs", "md5", "md5sum", "content-md5", "md5-hash",
		"sha1", "sha1sum", "sha256", "sha256sum", "content-sha256", "sha512", "sha512sum",
		"crc32", "crc32c", "crc64nvme", "checksum":
		return true
	}
	return false
}
