//go:build !noembedded

package embedded

import (
	"os"

	"github.com/versity/versitygw/backend/meta"
)

// etagAttribute is what makes a folder an object: a directory marker has it, a folder
// that only leads to objects has not.
const etagAttribute = "etag"

// attributes keeps an object's attributes in user xattrs, except one: where the parts
// of an upload ended. Nobody asks for it, and from about 700 parts on it is more
// than ext4 keeps of an inode (4 KiB), so the upload could not be completed.
type attributes struct{ meta.XattrMeta }

var _ meta.MetadataStorer = attributes{}

func (a attributes) StoreAttribute(f *os.File, bucket, object, attribute string, value []byte) error {
	if attribute == "mp-metadata" {
		return nil
	}
	return a.XattrMeta.StoreAttribute(f, bucket, object, attribute, value)
}

// isMarker reports whether a folder is an object.
func (a attributes) isMarker(bucket, key string) bool {
	_, err := a.RetrieveAttribute(nil, bucket, key, etagAttribute)
	return err == nil
}
