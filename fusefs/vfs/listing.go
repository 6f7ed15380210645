package vfs

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	path   string
	prefix string
	began  time.Time
	// seen are the names that were listed, or of which this listing may not speak.
	seen map[string]bool
}

// list brings the index up to date with a directory of the bucket.
func (fs *FS) list(ctx context.Context, dir Ino) error {
	s := scan{fs: fs, look: fs.wb.BeginListing(), dir: dir, began: time.Now(), seen: make(map[string]bool)}
	defer s.look.End()
	var err error
	if s.path, s.prefix, err = fs.dirPath(fs.Index, dir); err != nil {
		return err
	}
	opts := objstore.ListOptions{Prefix: s.prefix, Delimiter: "/"}
	for {
		page, err := fs.Bucket.List(ctx, opts)
		if err != nil {
			return err
		}
		if err := s.merge(page); err != nil {
			return err
		}
		if opts.Token = page.Next; opts.Token == "" {
			break
		}
	}
	if err := s.dropVanished(ctx); err != nil {
		return err
	}
	return s.finish()
}

// errMoved ends a listing whose directory was renamed or removed meanwhile.
var errMoved = fmt.Errorf("%w: the directory was moved while it was listed", ErrStale)

// stillThere checks, inside a transaction, that the directory is where it was listed.
func (s *scan) stillThere(c *change) error {
	_, prefix, err := s.fs.dirPath(c.Tx, s.dir)
	if err == nil && prefix != s.prefix {
		err = errMoved
	}
	return err
}

// mergeBatch is how many entries one transaction enters, so that others get their turn.
const mergeBatch = 200

// merge enters one page.
func (s *scan) merge(page objstore.Page) error {
	entries := make([]found, 0, len(page.Objects)+len(page.Prefixes))
	for _, obj := range page.Objects {
		entries = append(entries, found{key: obj.Key, obj: obj, entry: s.fs.Layout.Entry(s.path, obj.Key)})
	}
	for _, prefix := range page.Prefixes {
		entries = append(entries, found{key: prefix, entry: s.fs.Layout.Entry(s.path, prefix)})
	}
	for len(entries) > 0 {
		batch := entries[:min(mergeBatch, len(entries))]
		entries = entries[len(batch):]
		err := s.fs.change(func(c *change) error {
			if err := s.stillThere(c); err != nil {
				return err
			}
			for _, f := range batch {
				if err := s.enter(c, f); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// found is an object or a common prefix of a listing. A prefix has no ETag.
type found struct {
	key   string
	obj   objstore.Object
	entry layout.Entry
}

// enter merges one entry.
func (s *scan) enter(c *change, f found) error {
	switch {
	case f.entry.Self:
		return s.self(c, f)
	case f.entry.Hidden != layout.Shown:
		s.fs.Log.Warn("an object has no place in a filesystem and is hidden", "key", f.key, "reason", string(f.entry.Hidden))
		return nil
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
	if (n.Dir != nil) != f.entry.Dir {
		return s.enterOther(c, f, n, again)
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
	if f.entry.Dir {
		return enterDir(c, s.dir, name)
	}
	attr, _, foreign := layout.Decode(f.obj, false, s.fs.Defaults)
	_, err := writeback.Import(c.Tx, s.dir, name, f.key, f.obj, attr, index.Foreign(foreign))
	s.changed(c, name)
	return err
}

// enterDir enters a directory that a common prefix shows. Its attributes are asked for
// when somebody wants them.
func enterDir(c *change, parent Ino, name string) error {
	n := index.Inode{Ino: c.NewIno(), Mode: layout.TypeDir, Nlink: 1, Vague: true, Dir: &index.Dir{}}
	return errors.Join(c.PutInode(n), c.Enter(parent, name, n.Ino))
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
	if !f.entry.Dir {
		s.fs.Log.Warn("an object has the name of a directory and is hidden", "key", f.key)
		return nil
	}
	if !isClean(n) || n.AttrGen > n.PlacedAttrGen || n.Placed+"/" != f.key {
		return nil
	}
	if again {
		s.fs.Log.Warn("an object has the name of a directory and is hidden", "key", n.Placed)
	}
	name := f.entry.Name
	after, err := s.fs.wb.Vanished(c.Tx, s.dir, name, n, n.Placed)
	if err != nil {
		return err
	}
	if after != nil {
		c.do(after)
	}
	return enterDir(c, s.dir, name)
}

// self merges the directory's own marker.
func (s *scan) self(c *change, f found) error {
	if s.look.Overtaken(f.key) {
		return nil
	}
	n, err := c.Inode(s.dir)
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
		k = index.Key{Key: f.key, ETag: f.obj.ETag, LastModified: f.obj.LastModified, Size: f.obj.Size, Owner: s.dir}
		if err := errors.Join(c.PutInode(n), c.PutKey(k)); err != nil {
			return err
		}
		if !f.obj.HasMetadata {
			return nil
		}
	}
	if k.Owner != s.dir || n.Placed != f.key {
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
	key := s.prefix + layout.Escape(d.Name)
	if n.Placed != key {
		return nil
	}
	if _, there, err := s.fs.head(ctx, key); err != nil || there {
		return err
	}
	return s.vanished(d, key)
}

// dropDir removes a directory of which the bucket has nothing any more.
func (s *scan) dropDir(ctx context.Context, d index.Dirent, n index.Inode) error {
	key := s.prefix + layout.Escape(d.Name) + "/"
	if n.Placed != key && (n.Placed != "" || n.AttrGen > n.PlacedAttrGen) {
		return nil
	}
	page, err := s.fs.Bucket.List(ctx, objstore.ListOptions{Prefix: key, Max: 1})
	if err != nil || len(page.Objects) > 0 {
		return err
	}
	return s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		return s.dropTree(c, d, key)
	})
}

// dropTree removes a directory's name and what is below it, as far as nothing of ours is
// on its way there.
func (s *scan) dropTree(c *change, d index.Dirent, key string) error {
	kept := false
	err := c.Keys(key, func(k index.Key) bool {
		kept = kept || k.Request != "" || s.look.Overtaken(k.Key)
		return !kept
	})
	if err != nil || kept {
		return err
	}
	_, err = s.dropBelow(c, s.dir, d, key)
	return err
}

// dropBelow removes one name with all that is below it, and reports whether it could.
func (s *scan) dropBelow(c *change, parent Ino, d index.Dirent, key string) (bool, error) {
	n, err := c.Inode(d.Ino)
	if err != nil {
		return false, err
	}
	if n.Dir != nil {
		var children []index.Dirent
		err := c.Dirents(n.Ino, 0, func(d index.Dirent) bool { children = append(children, d); return true })
		if err != nil {
			return false, err
		}
		all := true
		for _, child := range children {
			below := key + layout.Escape(child.Name)
			if m, err := c.Inode(child.Ino); err == nil && m.Dir != nil {
				below += "/"
			}
			gone, err := s.dropBelow(c, n.Ino, child, below)
			if err != nil {
				return false, err
			}
			all = all && gone
		}
		if !all || n.AttrGen > n.PlacedAttrGen || n.Placed != "" && n.Placed != key {
			return false, nil
		}
	} else if n.Placed != key || !isClean(n) || n.AttrGen > n.PlacedAttrGen {
		return false, nil
	}
	n.Placed = key
	after, err := s.fs.wb.Vanished(c.Tx, parent, d.Name, n, key)
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
	return s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		n, err := c.Inode(s.dir)
		if err != nil {
			return notExist(err)
		}
		n.Dir.Listed, n.Dir.ListedAt, n.Dir.Took = true, s.began, time.Since(s.began)
		return c.PutInode(n)
	})
}

// probe looks for one name of a directory that is not listed: as a file, and as a
// directory, at once.
func (fs *FS) probe(ctx context.Context, dir Ino, name string) error {
	s := scan{fs: fs, look: fs.wb.BeginListing(), dir: dir, seen: make(map[string]bool)}
	defer s.look.End()
	var err error
	if s.path, s.prefix, err = fs.dirPath(fs.Index, dir); err != nil {
		return err
	}
	path := strings.TrimPrefix(s.path+"/"+name, "/")
	fileKey, err := fs.Layout.File(path)
	if errors.Is(err, layout.ErrNameTooLong) {
		return nil // nothing in the bucket has this name
	}
	if err != nil {
		return err
	}
	var obj objstore.Object
	var isFile, isDir bool
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		obj, isFile, err = fs.head(gctx, fileKey)
		return err
	})
	g.Go(func() error {
		ctx, cancel := context.WithTimeout(gctx, lookTime)
		defer cancel()
		page, err := fs.Bucket.List(ctx, objstore.ListOptions{Prefix: fileKey + "/", Max: 1})
		isDir = len(page.Objects) > 0
		return fs.ioError(ctx, err)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	f := found{key: fileKey, obj: obj, entry: layout.Entry{Name: name}}
	switch {
	case isDir:
		f = found{key: fileKey + "/", entry: layout.Entry{Name: name, Dir: true}}
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
