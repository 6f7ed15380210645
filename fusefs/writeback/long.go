package writeback

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// A key in overflow form does not tell its path. Its record has the place of the name that
// it stands for, from the moment when it was found in the bucket or a write to it was
// announced; whether that still is the place is worked out anew each time.

// PlaceOf returns what the record of an inode's key holds in At.
func PlaceOf(r Reader, l layout.Layout, key string, ino index.Ino) (index.Name, error) {
	if !l.IsLong(key) {
		return index.Name{}, nil
	}
	names, err := r.Names(ino)
	if err != nil || len(names) == 0 {
		return index.Name{}, err
	}
	return names[0], nil
}

// wantedLong is wantedBy for a key in overflow form.
func wantedLong(r Reader, l layout.Layout, key string) (index.Inode, bool, error) {
	k, ok, err := r.Key(key)
	if err != nil || !ok || k.At.Parent == 0 {
		return index.Inode{}, false, err
	}
	n, wanted, err := longAt(r, l, k)
	if errors.Is(err, index.ErrNotFound) {
		return index.Inode{}, false, nil
	}
	return n, wanted && err == nil, err
}

func longAt(r Reader, l layout.Layout, k index.Key) (index.Inode, bool, error) {
	ino, err := r.Lookup(k.At.Parent, k.At.Name)
	if err != nil {
		return index.Inode{}, false, err
	}
	n, err := r.Inode(ino)
	if err != nil {
		return index.Inode{}, false, err
	}
	f, err := folderOf(r, l, k.At.Parent)
	if err != nil {
		return index.Inode{}, false, err
	}
	key, err := f.Key(k.At.Name, n.Dir != nil)
	return n, key == k.Key, err
}

// parentOfLong is parentOf for a key in overflow form.
func parentOfLong(r Reader, l layout.Layout, key string) (index.Inode, bool, error) {
	k, ok, err := r.Key(key)
	if err != nil || !ok || k.At.Parent == 0 {
		return index.Inode{}, false, err
	}
	f, err := folderOf(r, l, k.At.Parent)
	if errors.Is(err, index.ErrNotFound) || err == nil && !f.Holds(key) {
		return index.Inode{}, false, nil
	}
	if err != nil {
		return index.Inode{}, false, err
	}
	n, err := r.Inode(k.At.Parent)
	return n, err == nil, err
}

// folderOf returns the keys of what lies in a directory.
// Errors: index.ErrNotFound when it has no name.
func folderOf(r Reader, l layout.Layout, dir index.Ino) (layout.Folder, error) {
	path, err := Path(r, dir)
	if err != nil {
		return layout.Folder{}, err
	}
	return l.Folder(path)
}

// unmarked returns a directory whose marker must be in its place before a file's object
// may move to a key in overflow form: by their markers alone other hosts find what lies
// below. New files do not wait, fsync waits for both. The markers themselves come in any
// order: those that they leave go after all files below them.
func (p planner) unmarked(n index.Inode, key string) (t task, waits bool, err error) {
	if n.Dir != nil || n.Placed == "" || !p.layout.IsLong(key) {
		return task{}, false, nil
	}
	above, err := p.dirsAbove(n.Ino)
	if err != nil {
		return task{}, false, err
	}
	f, err := p.layout.Folder("")
	if err != nil {
		return task{}, false, err
	}
	for _, at := range above {
		if f, err = f.Sub(at.name); err != nil {
			return task{}, false, err
		}
		dir, err := p.Inode(at.ino)
		if err != nil {
			return task{}, false, err
		}
		if !p.layout.IsLong(f.Marker()) {
			waits = false // a plain key below it tells its path too
		}
		if !waits && dir.Placed != f.Marker() {
			t, waits = inodeTask(dir.Ino), true
		}
	}
	return t, waits, nil
}

// dirAbove is a directory on the way down to an inode.
type dirAbove struct {
	ino  index.Ino
	name string
}

// dirsAbove returns the directories above an inode, from the root's children down.
func (p planner) dirsAbove(ino index.Ino) ([]dirAbove, error) {
	var above []dirAbove
	for range maxDepth {
		names, err := p.Names(ino)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("inode %d: %w", ino, index.ErrNotFound)
		}
		if len(above) > 0 {
			above[len(above)-1].name = names[0].Name
		}
		if ino = names[0].Parent; ino == index.Root {
			slices.Reverse(above)
			return above, nil
		}
		above = append(above, dirAbove{ino: ino})
	}
	return nil, fmt.Errorf("inode %d lies deeper than %d directories", ino, maxDepth)
}

// needMarker gives a directory for which somebody waits a reason to be written, if it has
// none of its own: another tool made it, by what lies in it.
func (w *Writeback) needMarker(tx *index.Tx, ino index.Ino) error {
	n, err := tx.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil || n.Dir == nil || n.Placed != "" || n.AttrGen > n.PlacedAttrGen {
		return err
	}
	if n.Vague {
		// Its listing has shown no marker, so that these are its attributes.
		attr, _, _ := layout.Decode(objstore.Object{}, true, w.Defaults)
		now := time.Now()
		attr.Atime, attr.Mtime, attr.Ctime = now, now, now
		SetAttr(&n, attr)
		n.Vague = false
	}
	n.AttrGen++
	return tx.PutInode(n)
}
