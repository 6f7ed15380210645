package vfs

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// Keys that a filesystem cannot show are left alone whatever happens around them: no
// operation on what is visible moves or deletes them. A directory in which nothing else
// is left, and which has no marker, does not exist for programs: so rmdir of a directory
// that holds only hidden keys removes its marker and succeeds, and every host agrees.

// hiddenCounts are numbers of hidden keys by reason.
type hiddenCounts map[layout.Hidden]int

// hiddenKeys is what is known of the hidden keys of a volume, from the listings since it
// was opened.
type hiddenKeys struct {
	mu sync.Mutex // a leaf
	in map[Ino]hiddenCounts
	// dropped are, of directories that are being listed, the names that went meanwhile
	// because nothing else lies in them. Their listing may have passed them before that.
	dropped map[Ino]map[string]hiddenCounts
	// alone are the prefixes of directories that had nothing but hidden keys. A listing
	// that shows one looks again before it enters the name.
	alone map[string]bool
	// logged are the keys that the log has.
	logged map[string]bool
	// shown are the hidden objects as a listing showed them, by key: until they change they
	// are no news (unchanged.go).
	shown map[string]version
}

// version is what tells one object from a later one at its key.
type version struct {
	etag     string
	modified time.Time
}

// hiddenMost bounds the prefixes, the keys and the objects that are remembered: whatever is
// forgotten is looked at, or logged, once more.
const hiddenMost = 10_000

func newHiddenKeys() hiddenKeys {
	return hiddenKeys{
		in: make(map[Ino]hiddenCounts), dropped: make(map[Ino]map[string]hiddenCounts),
		alone: make(map[string]bool), logged: make(map[string]bool), shown: make(map[string]version),
	}
}

// plus returns the sum of both.
func (c hiddenCounts) plus(more hiddenCounts) hiddenCounts {
	sum := maps.Clone(c)
	if sum == nil {
		sum = make(hiddenCounts)
	}
	for reason, n := range more {
		sum[reason] += n
	}
	return sum
}

// begin notes that a listing of a directory begins.
func (h *hiddenKeys) begin(dir Ino) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped[dir] = make(map[string]hiddenCounts)
}

// end notes that the listing ends, with success or not.
func (h *hiddenKeys) end(dir Ino) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.dropped, dir)
}

// found replaces what is known of a directory by what its listing showed, and has left out:
// the keys that are hidden in it, and by name those in directories of which there is nothing else.
func (h *hiddenKeys) found(dir Ino, counts hiddenCounts, alone map[string]hiddenCounts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := maps.Clone(h.dropped[dir])
	if all == nil {
		all = make(map[string]hiddenCounts)
	}
	maps.Copy(all, alone)
	for _, of := range all {
		counts = counts.plus(of)
	}
	if len(counts) == 0 {
		delete(h.in, dir)
		return
	}
	h.in[dir] = counts
}

// add adds what lies in a directory's directory that was dropped.
func (h *hiddenKeys) add(dir Ino, name string, counts hiddenCounts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in[dir] = h.in[dir].plus(counts)
	if during := h.dropped[dir]; during != nil {
		during[name] = counts
	}
}

// remember keeps a value in one of the bounded sets and reports whether it was new.
func (h *hiddenKeys) remember(set map[string]bool, value string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if set[value] {
		return false
	}
	if len(set) >= hiddenMost {
		clear(set)
	}
	set[value] = true
	return true
}

func (h *hiddenKeys) isAlone(prefix string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.alone[prefix]
}

// saw remembers a hidden object.
func (h *hiddenKeys) saw(key string, v version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.shown) >= hiddenMost {
		clear(h.shown)
	}
	h.shown[key] = v
}

// knows reports whether an object was hidden before, and is the same.
func (h *hiddenKeys) knows(obj objstore.Object) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, ok := h.shown[obj.Key]
	return ok && was.etag == obj.ETag && was.modified.Equal(obj.LastModified)
}

// total sums up what is known of the directories that there are.
func (fs *FS) hiddenTotal() map[layout.Hidden]int {
	h := &fs.hidden
	h.mu.Lock()
	in := maps.Clone(h.in)
	h.mu.Unlock()
	total := make(map[layout.Hidden]int)
	for dir, counts := range in {
		if n, err := fs.Index.Inode(dir); errors.Is(err, index.ErrNotFound) || err == nil && n.Nlink == 0 {
			h.found(dir, nil, nil)
			continue
		}
		for reason, n := range counts {
			total[reason] += n
		}
	}
	return total
}

// hide counts a hidden key of the listed directory and logs it once.
func (s *scan) hide(key string, reason layout.Hidden) {
	if reason == layout.HiddenReserved {
		return // ours, at the top of a bucket
	}
	s.hidden[reason]++
	s.fs.logHidden(key, reason)
}

// hideObject hides an object, and remembers it.
func (s *scan) hideObject(f found, reason layout.Hidden) {
	s.hide(f.key, reason)
	s.fs.hidden.saw(f.obj.Key, version{f.obj.ETag, f.obj.LastModified})
}

func (fs *FS) logHidden(key string, reason layout.Hidden) {
	if fs.hidden.remember(fs.hidden.logged, key) {
		fs.Log.Warn("an object has no place in a filesystem and is hidden", "key", key, "reason", string(reason))
	}
}

// shown leaves out, and counts, the entries of a page that cannot be shown.
func (s *scan) shown(ctx context.Context, entries []found) ([]found, error) {
	files := make(map[string]bool) // of this page: they come before the directories
	kept := entries[:0]
	for _, f := range entries {
		if f.entry.Hidden != layout.Shown {
			s.hide(f.key, f.entry.Hidden)
			continue
		}
		if f.entry.Dir && f.obj.Key != "" {
			marker, err := false, error(nil)
			if !s.fs.hidden.knows(f.obj) {
				marker, err = s.fs.isMarker(ctx, &f.obj)
			}
			if err != nil {
				return nil, err
			}
			if !marker {
				s.hideObject(f, layout.HiddenContent)
				continue
			}
		}
		if !f.entry.Dir {
			files[f.entry.Name] = true
		} else if f.obj.Key == "" && (files[f.entry.Name] || s.doubtful(f.entry.Name)) {
			if only, err := s.leaveOut(ctx, f.entry.Name); err != nil {
				return nil, err
			} else if only {
				continue
			}
		}
		kept = append(kept, f)
	}
	return kept, nil
}

// doubtful reports whether a directory is entered only after a look into it: the last one
// found nothing but hidden keys, or the name is a file's.
func (s *scan) doubtful(name string) bool {
	if _, covered := s.covered[name]; covered || s.seen[name] {
		return true
	}
	if f, err := s.fs.Layout.Folder(s.folder.Join(name)); err == nil {
		if prefix, ok := f.Prefix(); ok && s.fs.hidden.isAlone(prefix) {
			return true
		}
	}
	n, err := s.fs.child(s.dir, name)
	return err == nil && n.Dir == nil
}

// leaveOut counts the hidden keys of a directory and reports whether it has no others.
func (s *scan) leaveOut(ctx context.Context, name string) (bool, error) {
	f, err := s.fs.Layout.Folder(s.folder.Join(name))
	if err != nil {
		return false, err
	}
	counts, only, err := s.fs.onlyHidden(ctx, f)
	if only {
		s.alone[name] = counts
	}
	return only, err
}

// onlyHidden reports whether the bucket has only hidden keys of a directory, and how many.
func (fs *FS) onlyHidden(ctx context.Context, f layout.Folder) (hiddenCounts, bool, error) {
	prefix, ok := f.Prefix()
	if !ok {
		return nil, false, nil
	}
	// Most often the first key is shown, and all that is to be known. Its page is not
	// continued: MinIO ends a listing too early that continues at a marker.
	first, err := fs.Bucket.List(ctx, objstore.ListOptions{Prefix: prefix, Max: 1, Bare: true})
	if err != nil || len(first.Objects) == 0 {
		return nil, false, err
	}
	if reason, err := fs.whyHidden(ctx, first.Objects[0]); err != nil || reason == layout.Shown {
		return nil, false, err
	}
	keys := make(map[string]layout.Hidden)
	counts, err := fs.countHidden(ctx, prefix, keys)
	if err != nil || counts == nil {
		return nil, false, err
	}
	if fs.Layout.IsLong(f.Marker()) {
		head, there, err := fs.head(ctx, f.Marker())
		if err != nil || there && layout.IsMarker(head) {
			return nil, false, err
		}
	}
	for key, reason := range keys {
		fs.logHidden(key, reason)
	}
	fs.hidden.remember(fs.hidden.alone, prefix)
	return counts, true, nil
}

// countHidden counts the hidden keys below a prefix and names some of them; nil counts
// mean that there are others.
func (fs *FS) countHidden(ctx context.Context, prefix string, keys map[string]layout.Hidden) (hiddenCounts, error) {
	counts := make(hiddenCounts)
	for opts := (objstore.ListOptions{Prefix: prefix}); ; {
		page, err := fs.Bucket.List(ctx, opts)
		if err != nil {
			return nil, err
		}
		for _, obj := range page.Objects {
			reason, err := fs.whyHidden(ctx, obj)
			if err != nil || reason == layout.Shown {
				return nil, err
			}
			counts[reason]++
			if len(keys) < hiddenMost {
				keys[obj.Key] = reason
			}
		}
		if opts.Token = page.Next; opts.Token == "" {
			return counts, nil
		}
	}
}

// whyHidden says why an object of a flat listing is not shown.
func (fs *FS) whyHidden(ctx context.Context, obj objstore.Object) (layout.Hidden, error) {
	_, isDir, reason := fs.Layout.Path(obj.Key)
	if reason != layout.Shown || !isDir {
		return reason, nil
	}
	marker, err := fs.isMarker(ctx, &obj)
	if err == nil && !marker {
		reason = layout.HiddenContent
	}
	return reason, err
}

// isMarker reports whether an object whose key ends in "/" is a directory's marker. Of one
// with content the metadata tell: they are asked for if the listing did not show them.
func (fs *FS) isMarker(ctx context.Context, obj *objstore.Object) (bool, error) {
	if obj.Size > 0 && !obj.HasMetadata {
		head, there, err := fs.head(ctx, obj.Key)
		if err != nil || !there {
			return false, err
		}
		*obj = head
	}
	return layout.IsMarker(*obj), nil
}

// unmarked reports whether a directory was never given a marker: it exists by what lies
// in it alone.
func unmarked(n index.Inode) bool {
	return n.Dir != nil && n.Placed == "" && n.Sending == "" && n.AttrGen == n.PlacedAttrGen
}

// dropUnshown looks whether a vague directory without a marker has anything that can be
// shown. If it has not, it is dropped.
func (fs *FS) dropUnshown(ctx context.Context, ino Ino) (bool, error) {
	f, err := fs.folder(fs.Index, ino)
	if err != nil {
		return false, err
	}
	counts, only, err := fs.onlyHidden(ctx, f)
	if err != nil || !only {
		return false, err
	}
	return fs.dropHidden(ino, counts)
}

// dropHidden removes the name of a vague directory of which the bucket has only hidden
// keys. It is false if something that can be shown came into it meanwhile.
func (fs *FS) dropHidden(ino Ino, counts hiddenCounts) (dropped bool, err error) {
	err = fs.change(func(c *change) error {
		n, err := c.Inode(ino)
		if err != nil {
			return notExist(err)
		}
		empty, err := c.Empty(ino)
		if err != nil || !empty || !n.Vague || !unmarked(n) {
			return err
		}
		names, err := c.Names(ino)
		if err != nil {
			return err
		}
		for _, at := range names {
			err = errors.Join(err, c.Remove(at.Parent, at.Name))
			c.do(func() {
				fs.hidden.add(at.Parent, at.Name, counts)
				fs.notices.entry(at.Parent, at.Name)
			})
		}
		dropped = true
		n.Nlink = 0
		return errors.Join(err, c.PutInode(n))
	})
	return dropped, err
}

// clearHidden makes sure that a directory does not count as full because of directories
// in it that hold only hidden keys and were not looked into yet.
func (fs *FS) clearHidden(ctx context.Context, dir Ino) error {
	var after uint64
	for {
		var vague Ino
		full := false
		err := fs.Index.Dirents(dir, after, func(d index.Dirent) bool {
			after = d.Cookie
			n, err := fs.Index.Inode(d.Ino)
			if err == nil && n.Vague && n.Dir != nil {
				vague = d.Ino
			}
			full = err == nil && vague == 0
			return false
		})
		if err != nil || full || vague == 0 {
			return err
		}
		if _, err := fs.known(ctx, vague); err == nil || !errors.Is(err, ErrNotExist) {
			return err
		}
	}
}
