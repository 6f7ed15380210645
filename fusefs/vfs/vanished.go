package vfs

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// What a listing did not show is gone, as far as nothing of ours is on its way there.

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
