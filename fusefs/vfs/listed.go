package vfs

import (
	"errors"
	"slices"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// What a listing shows of one name is merged with what the index has of it: entered, brought up
// to date, or left alone where a change of ours is on its way.

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
