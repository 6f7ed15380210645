package vfs

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// Cookies of "." and ".."; those of names are the index's, which leaves these free.
const (
	cookieDot    = 1
	cookieDotDot = 2
)

// readBatch is how many names are looked at before the first is reported.
const readBatch = 128

// OpenDir opens a directory for reading as the handle fh.
func (fs *FS) OpenDir(ctx context.Context, ino Ino, flags uint32, fh uint64) error {
	along, err := fs.readable(ctx, ino)
	if err != nil {
		return err
	}
	h := fs.newHandle(fh, ino, flags)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h.along = along
	return nil
}

// ReleaseDir closes a directory's handle.
func (fs *FS) ReleaseDir(fh uint64) { fs.dropHandle(fh) }

// ReadDir reports the names of a directory that come after a cookie, each that exists all
// the time exactly once, until emit returns false. With plus set they come with their
// inodes, unless the kernel knows these.
func (fs *FS) ReadDir(ctx context.Context, fh, cookie uint64, plus bool, emit func(DirEntry) bool) error {
	h, err := fs.handle(fh)
	if err != nil {
		return err
	}
	dir, err := fs.Index.Inode(h.ino)
	if err != nil {
		return notExist(err)
	}
	dir = fs.believed(dir, h.along)
	switch {
	case plus && fs.tolds.knows(dir):
		plus = false
		fs.tolds.skip(&h.telling)
	case plus && cookie == 0:
		fs.tolds.begin(&h.telling, fs.entryTTL(dir))
	}
	if !h.noAtime {
		fs.accessed(h.ino)
	}
	if cookie < cookieDot && !emit(DirEntry{Name: ".", Ino: h.ino, Type: layout.TypeDir, Cookie: cookieDot}) {
		return nil
	}
	if cookie < cookieDotDot {
		parent := h.ino
		if names, err := fs.Index.Names(h.ino); err == nil && len(names) > 0 {
			parent = names[0].Parent
		}
		if !emit(DirEntry{Name: "..", Ino: parent, Type: layout.TypeDir, Cookie: cookieDotDot}) {
			return nil
		}
	}
	after, along := cookie, h.along
	for {
		came, over := along.next(fs)
		batch, err := fs.readNames(ctx, dir, after, plus)
		switch {
		case err != nil:
			return err
		case len(batch) > 0:
		case !over:
			if err := along.wait(ctx, came); err != nil {
				return err
			}
			continue
		case along != nil:
			if err := fs.ended(ctx, h.ino, along); err != nil {
				return err
			}
			if dir, err = fs.Index.Inode(h.ino); err != nil {
				return notExist(err)
			}
			along = nil // a listing that followed may have brought more
			continue
		default:
			if now, err := fs.Index.Inode(h.ino); err == nil && now.Dir != nil && now.Dir.Listed {
				fs.tolds.end(&h.telling, h.ino, now.Dir.ListedAt)
			}
			return nil
		}
		if !plus {
			fs.tolds.skip(&h.telling)
		}
		for _, e := range batch {
			if e.Ino != 0 && !emit(e) {
				return nil
			}
			after = e.Cookie
		}
	}
}

// readNames reads the next names of a directory. One whose inode is gone has Ino 0.
func (fs *FS) readNames(ctx context.Context, dir index.Inode, after uint64, plus bool) ([]DirEntry, error) {
	var names []index.Dirent
	err := fs.Index.Dirents(dir.Ino, after, func(d index.Dirent) bool {
		names = append(names, d)
		return len(names) < readBatch
	})
	if err != nil {
		return nil, err
	}
	entries := make([]DirEntry, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for i, d := range names {
		entries[i] = DirEntry{Name: d.Name, Cookie: d.Cookie}
		n, err := fs.whole(d.Ino)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !n.Vague && !n.HasMembers() || !plus {
			if err := fs.fill(&entries[i], dir, n, plus); err != nil {
				return nil, err
			}
			continue
		}
		g.Go(func() error {
			fs.lookInto(ctx, n)
			n, err := fs.knownAs(ctx, dir.Ino, d.Name)
			if errors.Is(err, ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			return fs.fill(&entries[i], dir, n, true)
		})
	}
	return entries, g.Wait()
}

// fill completes an entry with what is known of its inode.
func (fs *FS) fill(e *DirEntry, dir, n index.Inode, plus bool) error {
	e.Ino = n.Ino
	if !n.Vague || n.Dir != nil {
		e.Type = n.Mode & layout.TypeMask
	}
	if !plus {
		return nil
	}
	entry, err := fs.entry(dir, n)
	e.Entry = &entry
	return err
}

// FsyncDir waits until the names of a directory are in the bucket, or with SyncLocal on
// the local disk.
func (fs *FS) FsyncDir(ctx context.Context, fh uint64) error {
	h, err := fs.handle(fh)
	if err != nil {
		return err
	}
	if fs.SyncLocal {
		return fs.Index.Sync()
	}
	return fs.ioError(ctx, fs.wb.SyncDir(ctx, h.ino))
}
