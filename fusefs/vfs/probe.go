package vfs

import (
	"context"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/layout"
	"objvol/objstore"
)

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
