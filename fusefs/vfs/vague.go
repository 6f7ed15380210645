package vfs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// lookTime bounds one look at the bucket on behalf of a program.
const lookTime = 30 * time.Second

// known returns an inode whose attributes are known: those that a listing did not tell
// are asked for, and remembered.
func (fs *FS) known(ctx context.Context, ino Ino) (index.Inode, error) {
	for {
		n, err := fs.Index.Inode(ino)
		if err != nil {
			return index.Inode{}, notExist(err)
		}
		if !n.Vague {
			return fs.counted(ctx, n)
		}
		if err := fs.clarify(ctx, n); err != nil && !errors.Is(err, errAgain) {
			return index.Inode{}, err
		}
	}
}

// knownAs returns the inode of a name that the index has, with its attributes known. Only
// they tell whether a name is one of several of a file: it may stand for another inode then.
func (fs *FS) knownAs(ctx context.Context, parent Ino, name string) (index.Inode, error) {
	for {
		was, err := fs.child(parent, name)
		if err != nil {
			return was, err
		}
		n, err := fs.known(ctx, was.Ino)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return n, err
		}
		now, lerr := fs.child(parent, name)
		if lerr != nil || now.Ino == was.Ino {
			return n, errors.Join(err, lerr)
		}
	}
}

// counted makes sure that the number of an inode's names is known.
func (fs *FS) counted(ctx context.Context, n index.Inode) (index.Inode, error) {
	if !n.HasMembers() {
		return n, nil
	}
	if err := fs.wb.CountLinks(ctx, n); err != nil {
		return n, fs.ioError(ctx, err)
	}
	n, err := fs.Index.Inode(n.Ino)
	return n, notExist(err)
}

// clarify asks for a vague inode's attributes.
func (fs *FS) clarify(ctx context.Context, n index.Inode) error {
	select {
	case fs.looks <- struct{}{}:
		defer func() { <-fs.looks }()
	case <-ctx.Done():
		return ErrInterrupted
	}
	key, err := writeback.KeyOf(fs.Index, fs.Layout, n)
	if err != nil {
		return notExist(err)
	}
	if n.Placed != "" {
		key = n.Placed
	}
	look := fs.wb.BeginListing()
	defer look.End()
	head, found, err := fs.head(ctx, key)
	if err != nil {
		return err
	}
	if n.Dir != nil && (!found || !layout.IsMarker(head)) {
		head, found = objstore.Object{}, false
		if dropped, err := fs.dropUnshown(ctx, n.Ino); dropped || err != nil {
			return fs.ioError(ctx, err)
		}
	}
	if !found && n.Dir == nil {
		if err := fs.wb.Refresh(ctx, n.Ino); err != nil {
			return fs.ioError(ctx, err)
		}
		return errAgain
	}
	attr, _, foreign := layout.Decode(head, n.Dir != nil, fs.Defaults)
	return fs.change(func(c *change) error {
		now, err := c.Inode(n.Ino)
		if err != nil {
			return notExist(err)
		}
		if !now.Vague {
			return nil
		}
		if now.Placed != n.Placed || look.Overtaken(key) {
			return errAgain
		}
		k, _, err := c.Key(key)
		if err != nil {
			return err
		}
		if found && n.Dir == nil && k.ETag != head.ETag {
			after, err := fs.wb.Seen(c.Tx, now, k, head)
			if after != nil {
				c.do(after)
			}
			return err
		}
		at, err := writeback.PlaceOf(c, fs.Layout, key, n.Ino)
		if err != nil {
			return err
		}
		if found && attr.Link != "" {
			k := index.Key{Key: key, ETag: head.ETag, LastModified: head.LastModified, Size: head.Size, Foreign: index.Foreign(foreign), At: at}
			after, err := fs.wb.Join(c.Tx, now, k, head, attr)
			if after != nil {
				c.do(after)
			}
			return err
		}
		return becomeClear(c, now, attr, head, found, index.Foreign(foreign), key, at)
	})
}

// becomeClear stores the attributes that were asked for. An unknown directory without a
// marker takes the time of the first look.
func becomeClear(c *change, n index.Inode, attr layout.Attr, head objstore.Object, found bool, foreign index.Foreign, key string, at index.Name) error {
	n.Vague = false
	writeback.SetAttr(&n, attr)
	if !found {
		n.Atime, n.Mtime, n.Ctime = c.now, c.now, c.now
		return c.PutInode(n)
	}
	n.Placed = key
	if n.Dir == nil {
		n.Size = head.Size
	}
	k := index.Key{Key: key, ETag: head.ETag, LastModified: head.LastModified, Size: head.Size, Owner: n.Ino, Foreign: foreign, At: at}
	return errors.Join(c.PutInode(n), c.PutKey(k))
}

// head looks at one key.
func (fs *FS) head(ctx context.Context, key string) (objstore.Object, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	obj, err := fs.Bucket.Head(ctx, key)
	if errors.Is(err, objstore.ErrNotFound) {
		return obj, false, nil
	}
	return obj, err == nil, fs.ioError(ctx, err)
}

// ioError says what a failed request means to the program that waits for it.
func (fs *FS) ioError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, writeback.ErrConflict):
		return fmt.Errorf("%w: %w", ErrStale, err)
	case errors.Is(err, objstore.ErrAccessDenied):
		return fmt.Errorf("%w: %w", ErrAccess, err)
	case errors.Is(err, objstore.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimedOut, err)
	}
	return err
}
