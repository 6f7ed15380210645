package vfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// scan is one listing of one directory.
type scan struct {
	fs     *FS
	look   writeback.Listing
	dir    Ino
	folder layout.Folder
	// first: the directory was not listed before. along: nor did it have a name.
	first, along bool
	// flight is what waits for it; nil for a look at one name.
	flight *flight
	began  time.Time
	// asOf is when the oldest of the requests was sent whose answers it goes by.
	asOf time.Time
	// seen are the names that were listed, or of which this listing may not speak.
	seen map[string]bool
	// covered are the files that were listed under names which directories have. They alone do
	// not make a name seen.
	covered map[string]found
	// hidden counts what cannot be shown, by reason; alone does so for what lies in names that
	// are left out, because there is nothing else in them.
	hidden hiddenCounts
	alone  map[string]hiddenCounts
}

// scan begins a look at a directory. The caller ends its look.
func (fs *FS) scan(dir Ino) (*scan, error) {
	now := time.Now()
	s := &scan{fs: fs, look: fs.wb.BeginListing(), dir: dir, began: now, asOf: now, seen: make(map[string]bool), covered: make(map[string]found), hidden: make(hiddenCounts), alone: make(map[string]hiddenCounts)}
	var err error
	var n index.Inode
	if s.folder, err = fs.folder(fs.Index, dir); err == nil {
		n, err = fs.Index.Inode(dir)
	}
	s.first = n.Dir != nil && !n.Dir.Listed
	if err == nil && s.first {
		s.along, err = fs.Index.Empty(dir)
	}
	if err != nil {
		s.look.End()
	}
	return s, notExist(err)
}

// list brings the index up to date with a directory of the bucket.
func (fs *FS) list(ctx context.Context, dir Ino, f *flight) error {
	s, err := fs.scan(dir)
	if err != nil {
		return err
	}
	s.flight = f
	defer s.look.End()
	fs.hidden.begin(dir)
	defer fs.hidden.end(dir)
	if prefix, ok := s.folder.Prefix(); ok {
		if err := s.pages(ctx, objstore.ListOptions{Prefix: prefix, Delimiter: "/", Max: s.firstPage()}); err != nil {
			return err
		}
	}
	if err := s.listLong(ctx); err != nil {
		return err
	}
	if err := s.dropVanished(ctx); err != nil {
		return err
	}
	if err := s.uncover(); err != nil {
		return err
	}
	return s.finish()
}

// lookPage is how many names the first page of a listing has that a look at one of them began.
const lookPage = 250

// firstPage is how many names the first page has, 0 for as many as the store gives. Who looks at
// a name in a directory that is not listed is likely to look at the next, and each costs two
// requests until the listing has brought it; a full page takes MinIO 90 to 130 ms with the
// metadata: it checks the request's signature twice for each object. Of 2,000 files that eight
// threads read, 29 to 55 names were looked for instead of 82 to 122.
func (s *scan) firstPage() int {
	if s.first && s.flight.look {
		return lookPage
	}
	return 0
}

// pages enters all pages of one listing. The next one is asked for while one is entered. The
// first may be limited, the others are full.
func (s *scan) pages(ctx context.Context, opts objstore.ListOptions) error {
	page, err := s.page(ctx, opts)
	if err == nil && !s.worth(page.Page) && s.end() {
		return errNotPeeked
	}
	for err == nil && page.Next != "" {
		var next shownPage
		opts.Token, opts.Max = page.Next, 0
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			next, err = s.page(ctx, opts)
			return err
		})
		g.Go(func() error { return s.merge(ctx, page) })
		err = g.Wait()
		page = next
	}
	if err != nil {
		return err
	}
	return s.merge(ctx, page)
}

// errMoved ends a listing whose directory was renamed or removed meanwhile.
var errMoved = fmt.Errorf("%w: the directory was moved while it was listed", ErrStale)

// stillThere checks, inside a transaction, that the directory is where it was listed.
func (s *scan) stillThere(c *change) error {
	path, err := writeback.Path(c.Tx, s.dir)
	if err == nil && path != s.folder.Path() {
		err = errMoved
	}
	return notExist(err)
}

// mergeBatch is how many entries one transaction enters, so that others get their turn.
const mergeBatch = 200

// merge enters one page.
func (s *scan) merge(ctx context.Context, page shownPage) error {
	entries := make([]found, 0, len(page.Objects)+len(page.Prefixes))
	for i, obj := range page.Objects {
		f := s.found(obj.Key, obj)
		if page.same == nil || !page.same[i] {
			entries = append(entries, f)
		} else if !f.entry.Self {
			s.seen[f.entry.Name] = true
		}
	}
	for _, prefix := range page.Prefixes {
		entries = append(entries, s.found(prefix, objstore.Object{}))
	}
	entries, err := s.shown(ctx, entries)
	if err != nil {
		return err
	}
	for len(entries) > 0 {
		batch := entries[:min(mergeBatch, len(entries))]
		entries = entries[len(batch):]
		err := s.fs.change(func(c *change) error {
			if err := s.stillThere(c); err != nil {
				return err
			}
			vacant, err := s.vacant(c, batch)
			if err != nil {
				return err
			}
			for _, f := range batch {
				if vacant && !f.entry.Self && !s.seen[f.entry.Name] {
					err = s.enterAbsent(c, f)
				} else {
					err = s.enter(c, f)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.along {
			s.flight.advance(s.fs)
		}
	}
	return nil
}

// found is an object or a common prefix of a listing. A prefix has no object.
type found struct {
	// key is that of the name; for a common prefix it is that of the directory's marker.
	key   string
	obj   objstore.Object
	entry layout.Entry
}

func (s *scan) found(key string, obj objstore.Object) found {
	f := found{key: key, obj: obj, entry: s.folder.Entry(key)}
	if f.entry.Name != "" {
		if marker, err := s.folder.Key(f.entry.Name, f.entry.Dir); err == nil {
			f.key = marker
		}
	}
	return f
}

// vacant reports whether the index has none of the names of a batch, and knows none of
// their keys; the directory's own marker does not count. Then nothing has to be looked up for each of them, which is most of the work.
func (s *scan) vacant(c *change, batch []found) (bool, error) {
	others := slices.DeleteFunc(slices.Clone(batch), func(f found) bool { return f.entry.Self })
	if len(others) == 0 {
		return true, nil
	}
	first, last := others[0], others[0]
	for _, f := range others {
		first.key, last.key = min(first.key, f.key), max(last.key, f.key)
		first.entry.Name, last.entry.Name = min(first.entry.Name, f.entry.Name), max(last.entry.Name, f.entry.Name)
	}
	vacant, err := c.VacantKeys(first.key, last.key)
	if vacant && err == nil {
		vacant, err = c.VacantNames(s.dir, first.entry.Name, last.entry.Name)
	}
	return vacant, err
}

// enterAbsent is enter for an entry of a vacant batch.
func (s *scan) enterAbsent(c *change, f found) error {
	s.seen[f.entry.Name] = true
	if s.look.Overtaken(f.key) {
		return nil
	}
	return s.enterUnknown(c, f, f.entry.Name)
}

// enter merges one entry.
func (s *scan) enter(c *change, f found) error {
	if f.entry.Self {
		return s.marker(c, s.dir, f)
	}
	name := f.entry.Name
	again := s.seen[name]
	s.seen[name] = true
	if s.look.Overtaken(f.key) {
		return nil
	}
	if doomed, err := c.IsDoomed(f.key); err != nil || doomed {
		return err
	}
	ino, err := c.Lookup(s.dir, name)
	if errors.Is(err, index.ErrNotFound) {
		return s.enterNew(c, f, name)
	}
	if err != nil {
		return err
	}
	n, err := c.Inode(ino)
	if err != nil {
		return err
	}
	switch {
	case (n.Dir != nil) != f.entry.Dir:
		return s.enterOther(c, f, n, again)
	case f.entry.Dir && f.obj.Key != "":
		return s.marker(c, ino, f)
	}
	k, ok, err := c.Key(f.key)
	if err != nil || !ok || f.entry.Dir || k.Owner != ino || n.Placed != f.key || k.Request != "" {
		return err
	}
	return s.enterKnown(c, f, n, k)
}

// enterNew enters a name that the index does not have, unless its object is that of an
// inode which is on its way elsewhere.
func (s *scan) enterNew(c *change, f found, name string) error {
	if _, known, err := c.Key(f.key); err != nil || known {
		return err
	}
	return s.enterUnknown(c, f, name)
}

// enterUnknown enters a name that the index does not have, under a key that it does not
// know.
func (s *scan) enterUnknown(c *change, f found, name string) error {
	if f.entry.Dir {
		if left, err := s.isLeft(c, f); err != nil || left {
			return err
		}
		return c.EnterNew(s.dir, name, vagueDir(c))
	}
	attr, _, foreign := layout.Decode(f.obj, false, s.fs.Defaults)
	after, err := s.fs.wb.ImportAbsent(c.Tx, s.dir, name, f.key, f.obj, attr, index.Foreign(foreign))
	if after != nil {
		c.do(after)
	}
	if !s.first {
		s.changed(c, name) // else the kernel remembers for a second at most that it is not there
	}
	return err
}

// isLeft reports whether a common prefix may be shown only by keys of ours that are going
// or went since: a directory without a marker would come back after its rmdir or rename.
// Another writer's keys below it are seen when ours are gone.
func (s *scan) isLeft(c *change, f found) (left bool, err error) {
	below, err := s.folder.Sub(f.entry.Name)
	if err != nil {
		return false, err
	}
	prefix, ok := below.Prefix()
	if !ok || s.look.OvertakenBelow(prefix) {
		return ok, nil
	}
	err = c.Keys(prefix, func(index.Key) bool { left = true; return false })
	return left, err
}

// vagueDir is a directory that a common prefix shows. Its attributes are asked for when
// somebody wants them.
func vagueDir(c *change) index.Inode {
	return index.Inode{Ino: c.NewIno(), Mode: layout.TypeDir, Nlink: 1, Vague: true, Dir: &index.Dir{}}
}

// enterKnown merges an object of a known file.
func (s *scan) enterKnown(c *change, f found, n index.Inode, k index.Key) error {
	after, err := s.fs.wb.Seen(c.Tx, n, k, f.obj)
	if err != nil {
		return err
	}
	if after != nil {
		c.do(after)
	}
	now, err := c.Inode(n.Ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil // it was one of several names, and is a file of its own now
	}
	if err != nil || n.Vague || now.Mode&layout.TypeMask == n.Mode&layout.TypeMask {
		return err // nobody was told the type of a vague inode
	}
	// The kernel does not know inodes that change their type: another one takes the name.
	err = errors.Join(c.Remove(s.dir, f.entry.Name), c.DeleteInode(n.Ino), c.DeleteKey(f.key))
	s.changed(c, f.entry.Name)
	return errors.Join(err, s.enterNew(c, f, f.entry.Name))
}

// enterOther handles a name that is a file here and a directory there, or the reverse.
// With both in the bucket the directory is shown; changes of ours are left to their
// own writes.
func (s *scan) enterOther(c *change, f found, n index.Inode, again bool) error {
	name := f.entry.Name
	if !f.entry.Dir {
		s.covered[name] = f
		if !again {
			delete(s.seen, name)
		}
		return nil
	}
	key, err := s.folder.Key(name, false)
	if err != nil || !isClean(n) || n.AttrGen > n.PlacedAttrGen || n.Placed != key {
		return err
	}
	if left, err := s.isLeft(c, f); err != nil || left {
		return err
	}
	if again {
		s.hide(key, layout.HiddenShadowed)
		if k, ok, err := c.Key(key); err == nil && ok {
			s.fs.hidden.saw(key, version{k.ETag, k.LastModified})
		}
	}
	after, err := s.fs.wb.Vanished(c.Tx, s.dir, name, n, n.Placed)
	if err != nil {
		return err
	}
	if after != nil {
		c.do(after)
	}
	dir := vagueDir(c)
	return errors.Join(c.PutInode(dir), c.Enter(s.dir, name, dir.Ino))
}

// marker merges the marker of a directory: of the one that is listed, or of one in it.
func (s *scan) marker(c *change, dir Ino, f found) error {
	if s.look.Overtaken(f.key) {
		return nil
	}
	n, err := c.Inode(dir)
	if err != nil {
		return err
	}
	k, ok, err := c.Key(f.key)
	if err != nil || k.Request != "" {
		return err
	}
	if !ok {
		if n.Placed != "" {
			return nil
		}
		n.Placed = f.key
		n.Vague = n.Vague || n.AttrGen == n.PlacedAttrGen
		k = index.Key{Key: f.key, ETag: f.obj.ETag, LastModified: f.obj.LastModified, Size: f.obj.Size, Owner: dir}
		if k.At, err = writeback.PlaceOf(c, s.fs.Layout, f.key, dir); err != nil {
			return err
		}
		if err := errors.Join(c.PutInode(n), c.PutKey(k)); err != nil {
			return err
		}
		if !f.obj.HasMetadata {
			return nil
		}
	}
	if k.Owner != dir || n.Placed != f.key {
		return nil
	}
	after, err := s.fs.wb.Seen(c.Tx, n, k, f.obj)
	if after != nil {
		c.do(after)
	}
	return err
}

// changed tells the kernel that a name means something new.
func (s *scan) changed(c *change, name string) {
	c.do(func() { s.fs.notices.entry(s.dir, name) })
}

// dropVanished removes the names that the listing did not show. That an object of ours
// is gone is confirmed by a look at its key (hard-cases 9).
func (s *scan) dropVanished(ctx context.Context) error {
	var missing []index.Dirent
	err := s.fs.Index.Dirents(s.dir, 0, func(d index.Dirent) bool {
		if !s.seen[d.Name] {
			missing = append(missing, d)
		}
		return true
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for _, d := range missing {
		g.Go(func() error { return s.dropOne(ctx, d) })
	}
	return g.Wait()
}

func (s *scan) dropOne(ctx context.Context, d index.Dirent) error {
	n, err := s.fs.Index.Inode(d.Ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.Dir != nil {
		return s.dropDir(ctx, d, n)
	}
	key, err := s.folder.Key(d.Name, false)
	if err != nil || n.Placed != key {
		return err
	}
	if _, there, err := s.fs.head(ctx, key); err != nil || there {
		return err
	}
	return s.vanished(d, key)
}

// dropDir removes a directory of which the bucket has nothing any more.
func (s *scan) dropDir(ctx context.Context, d index.Dirent, n index.Inode) error {
	f, err := s.fs.Layout.Folder(s.folder.Join(d.Name))
	if err != nil {
		return err
	}
	if n.Placed != f.Marker() && (n.Placed != "" || n.AttrGen > n.PlacedAttrGen) {
		return nil
	}
	if there, err := s.fs.anything(ctx, f); err != nil || there {
		return err
	}
	return s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		return s.dropTree(c, d, f)
	})
}

// anything reports whether the bucket has anything of a directory.
func (fs *FS) anything(ctx context.Context, f layout.Folder) (bool, error) {
	if prefix, ok := f.Prefix(); ok {
		page, err := fs.Bucket.List(ctx, objstore.ListOptions{Prefix: prefix, Max: 1, Bare: true})
		if err != nil || len(page.Objects) > 0 {
			return err == nil, err
		}
	}
	if !fs.Layout.IsLong(f.Marker()) {
		return false, nil
	}
	_, there, err := fs.head(ctx, f.Marker())
	return there, err
}

// dropTree removes a directory's name and what is below it, as far as nothing of ours is
// on its way there.
func (s *scan) dropTree(c *change, d index.Dirent, f layout.Folder) error {
	kept := false
	if prefix, ok := f.Prefix(); ok {
		err := c.Keys(prefix, func(k index.Key) bool {
			kept = kept || k.Request != "" || s.look.Overtaken(k.Key)
			return !kept
		})
		if err != nil || kept {
			return err
		}
	}
	_, err := s.dropBelow(c, s.dir, d, f)
	return err
}

// dropBelow removes a directory's name with all that is below it, and reports whether it
// could.
func (s *scan) dropBelow(c *change, parent Ino, d index.Dirent, f layout.Folder) (bool, error) {
	n, err := c.Inode(d.Ino)
	if err != nil {
		return false, err
	}
	var children []index.Dirent
	err = c.Dirents(n.Ino, 0, func(d index.Dirent) bool { children = append(children, d); return true })
	if err != nil {
		return false, err
	}
	all := true
	for _, child := range children {
		gone, err := s.dropChild(c, n.Ino, child, f)
		if err != nil {
			return false, err
		}
		all = all && gone
	}
	if !all || n.AttrGen > n.PlacedAttrGen || n.Placed != "" && n.Placed != f.Marker() || s.look.Overtaken(f.Marker()) {
		return false, nil
	}
	return s.dropName(c, parent, d.Name, n, f.Marker())
}

// dropChild is dropBelow for anything in a directory.
func (s *scan) dropChild(c *change, parent Ino, d index.Dirent, f layout.Folder) (bool, error) {
	n, err := c.Inode(d.Ino)
	if err != nil {
		return false, err
	}
	if n.Dir != nil {
		below, err := s.fs.Layout.Folder(f.Join(d.Name))
		if err != nil {
			return false, err
		}
		return s.dropBelow(c, parent, d, below)
	}
	key, err := f.Key(d.Name, false)
	if err != nil || n.Placed != key || !isClean(n) || n.AttrGen > n.PlacedAttrGen || s.look.Overtaken(key) {
		return false, err
	}
	return s.dropName(c, parent, d.Name, n, key)
}

// dropName removes one name, whose key holds nothing.
func (s *scan) dropName(c *change, parent Ino, name string, n index.Inode, key string) (bool, error) {
	n.Placed = key
	after, err := s.fs.wb.Vanished(c.Tx, parent, name, n, key)
	if after != nil {
		c.do(after)
	}
	return err == nil, err
}

// vanished removes a file's name after its key was found empty.
func (s *scan) vanished(d index.Dirent, key string) error {
	return s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil || s.look.Overtaken(key) {
			return err
		}
		if ino, err := c.Lookup(s.dir, d.Name); errors.Is(err, index.ErrNotFound) || err == nil && ino != d.Ino {
			return nil
		} else if err != nil {
			return err
		}
		n, err := c.Inode(d.Ino)
		if err != nil {
			return notExist(err)
		}
		after, err := s.fs.wb.Vanished(c.Tx, s.dir, d.Name, n, key)
		if after != nil {
			c.do(after)
		}
		return err
	})
}

// finish marks the directory as listed.
func (s *scan) finish() error {
	err := s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		n, err := c.Inode(s.dir)
		if err != nil {
			return notExist(err)
		}
		n.Dir.Listed, n.Dir.ListedAt, n.Dir.Took = true, s.asOf, time.Since(s.began)
		if err := s.clearUp(c, &n); err != nil {
			return err
		}
		if len(s.hidden)+len(s.alone) > 0 && s.dir != Root && unmarked(n) {
			// If nothing is left that can be shown, neither is the directory.
			empty, err := c.Empty(s.dir)
			if err != nil {
				return err
			}
			n.Vague = n.Vague || empty
		}
		return c.PutInode(n)
	})
	if err == nil {
		s.fs.hidden.found(s.dir, s.hidden, s.alone)
		if s.flight.onlyPeek(s.fs) {
			s.fs.peeks.listed(s.dir, len(s.seen))
		}
	}
	return err
}

// probe looks for one name of a directory that is not listed: as a file, and as a
// directory, at once.
func (fs *FS) probe(ctx context.Context, dir Ino, name string) error {
	s, err := fs.scan(dir)
	if err != nil {
		return err
	}
	defer s.look.End()
	below, err := fs.Layout.Folder(s.folder.Join(name))
	if err != nil {
		return nil // nothing in the bucket has this name
	}
	key, err := s.folder.Key(name, false)
	if err != nil {
		return err
	}
	var obj objstore.Object
	var isFile, isDir bool
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		obj, isFile, err = fs.head(gctx, key)
		return err
	})
	g.Go(func() (err error) {
		ctx, cancel := context.WithTimeout(gctx, lookTime)
		defer cancel()
		isDir, err = fs.anything(ctx, below)
		return fs.ioError(ctx, err)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if isFile && isDir {
		if _, only, err := fs.onlyHidden(ctx, below); err != nil {
			return err
		} else if only {
			isDir = false
		}
	}
	f := found{key: key, obj: obj, entry: layout.Entry{Name: name}}
	switch {
	case isDir:
		f = found{key: below.Marker(), entry: layout.Entry{Name: name, Dir: true}}
	case !isFile:
		return nil
	}
	return fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		return s.enter(c, f)
	})
}
