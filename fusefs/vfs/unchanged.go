package vfs

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// A directory that was listed before is listed without metadata: as long as its objects are
// those that the index has, they tell nothing new, and listing them is most of the work of a
// store that can. A page that shows another object is asked for once more, with them, unless
// that one is known to have no place here. One that is sure to do so is asked for with them at
// once.

// shownPage is a page of a listing.
type shownPage struct {
	objstore.Page
	// same says of each of its objects that the index has it under its name: there is
	// nothing to merge.
	same []bool
}

// page asks for one page.
func (s *scan) page(ctx context.Context, opts objstore.ListOptions) (shownPage, error) {
	if !s.first && s.fs.Bucket.Capabilities().ListMetadata {
		unseen, err := s.beginsUnseen(opts)
		if err != nil {
			return shownPage{}, err
		}
		opts.Bare = !unseen
	}
	page, err := s.fs.Bucket.List(ctx, opts)
	if err != nil || s.first {
		return shownPage{Page: page}, err
	}
	same, news, err := s.compare(page.Objects)
	if err != nil || !news || !opts.Bare {
		return shownPage{page, same}, err
	}
	opts.Bare = false
	if page, err = s.fs.Bucket.List(ctx, opts); err != nil {
		return shownPage{}, err
	}
	same, _, err = s.compare(page.Objects)
	return shownPage{page, same}, err
}

// beginsUnseen reports whether a page begins with a marker that was written here and has been
// in no listing since, as most often what lies in its directory.
func (s *scan) beginsUnseen(opts objstore.ListOptions) (bool, error) {
	if opts.Token != "" {
		return false, nil
	}
	k, known, err := s.fs.Index.Key(opts.Prefix)
	return known && !k.Gone && k.Request == "" && k.LastModified.IsZero(), err
}

// compare finds the objects that the index has, and whether one of the others has metadata
// that are to be known.
func (s *scan) compare(objects []objstore.Object) (same []bool, news bool, err error) {
	same = make([]bool, len(objects))
	for i, obj := range objects {
		k, known, err := s.fs.Index.Key(obj.Key)
		if err != nil {
			return nil, false, err
		}
		if !known || k.Gone || k.ETag != obj.ETag || k.Size != obj.Size || !k.LastModified.Equal(obj.LastModified) {
			news = news || known && k.Request == "" || !known && !s.isHidden(obj)
			continue
		}
		if same[i], err = s.owns(obj.Key, k); err != nil {
			return nil, false, err
		}
	}
	return same, news, nil
}

// isHidden reports whether an object is known to have no place here: by its key, or because it
// had none before.
func (s *scan) isHidden(obj objstore.Object) bool {
	return s.folder.Entry(obj.Key).Hidden != layout.Shown || s.fs.hidden.knows(obj)
}

// owns reports whether the inode that a key belongs to is the one that its name stands for.
func (s *scan) owns(key string, k index.Key) (bool, error) {
	entry := s.folder.Entry(key)
	if entry.Self {
		return k.Owner == s.dir, nil
	}
	ino, err := s.fs.Index.Lookup(s.dir, entry.Name)
	if errors.Is(err, index.ErrNotFound) {
		return false, nil
	}
	return ino == k.Owner, err
}
