package vfs

import (
	"context"

	"objvol/fusefs/extent"
	"objvol/fusefs/index"
)

// neighboursAtOnce bounds the requests for files that nobody asked for yet.
const neighboursAtOnce = 32

// readFirst notes that the first bytes of a small file are read, which had to be fetched,
// or were there.
func (fs *FS) readFirst(ino Ino, cold bool) {
	dir, ok := fs.walks.found(ino)
	if !ok {
		if !cold {
			return
		}
		if dir, ok = fs.readCold(ino); !ok {
			return
		}
	}
	fs.fetchNeighbours(dir)
}

// readCold notes that a file was read which nobody had fetched ahead, and returns its
// directory if it followed the last one there.
func (fs *FS) readCold(ino Ino) (dir Ino, followed bool) {
	names, err := fs.Index.Names(ino)
	if err != nil || len(names) != 1 {
		return 0, false
	}
	dir = names[0].Parent
	e, err := fs.Index.Entry(dir, names[0].Name)
	if err != nil {
		return 0, false
	}
	w, known := fs.walks.of(dir, e)
	switch {
	case !known, e.Ino == w.last.Ino:
		return 0, false
	case fs.near(dir, w.last, e, w.byName, walkNear):
		fs.walks.followed(dir, e, w.byName)
		return dir, true
	case fs.near(dir, e, w.last, w.byName, walkMost):
		return 0, false // one of several threads is behind
	case fs.near(dir, w.last, e, !w.byName, walkNear):
		fs.walks.followed(dir, e, !w.byName)
		return dir, true
	}
	fs.walks.strayed(dir, e)
	return 0, false
}

// near reports whether a name follows another within so many names.
func (fs *FS) near(dir Ino, from, to index.Dirent, byName bool, most int) bool {
	if w := (&walk{byName: byName}); !w.behind(to, from) {
		return false
	}
	found := false
	n := 0
	err := fs.dirents(dir, from, byName, func(e index.Dirent) bool {
		n++
		found = e.Ino == to.Ino
		return !found && n < most
	})
	return err == nil && found
}

// dirents walks the names of a directory behind one of them, in either order.
func (fs *FS) dirents(dir Ino, from index.Dirent, byName bool, fn func(index.Dirent) bool) error {
	if byName {
		return fs.Index.DirentsByName(dir, from.Name, fn)
	}
	return fs.Index.Dirents(dir, from.Cookie, fn)
}

// fetchNeighbours fetches the next files of a directory, as many as its walk has room for.
func (fs *FS) fetchNeighbours(dir Ino) {
	files, bytes, front, byName := fs.walks.room(dir)
	if files == 0 {
		return
	}
	var next []*ahead
	defer func() { fs.walks.filled(dir, next, front) }()
	// What is not in the bucket yet needs the cache itself.
	if fs.ledger.Pinned() > fs.CacheSize/2 || fs.CacheSize < 2*walkBytes || fs.free(walkBytes) != nil {
		return
	}
	looked := 0
	err := fs.dirents(dir, front, byName, func(e index.Dirent) bool {
		looked++
		front = e
		if n, err := fs.Index.Inode(e.Ino); err == nil && fs.wantedAhead(n) {
			a := &ahead{Dirent: e, size: n.Size}
			a.ctx, a.end = context.WithCancel(fs.ctx)
			next = append(next, a)
			bytes -= n.Size
		}
		return len(next) < files && bytes > 0 && looked < 4*walkMost
	})
	if err != nil {
		fs.Log.Debug("no files are fetched ahead", "inode", uint64(dir), "error", err)
	}
	for _, a := range next {
		if !fs.begin() {
			a.end()
			continue
		}
		go func() {
			defer fs.tasks.Done()
			defer a.end()
			fs.fetchNeighbour(a.ctx, a.Ino)
		}()
	}
}

// wantedAhead reports whether a file is one that is fetched ahead: small, in the bucket, and
// nothing of it here.
func (fs *FS) wantedAhead(n index.Inode) bool {
	if n.Dir != nil || !isRegular(n) && !n.Vague || n.Placed == "" || n.HasMembers() || n.Size == 0 || n.Size > walkFile {
		return false
	}
	c, err := fs.Index.Content(n.Ino)
	return err == nil && c.File == 0 && c.BaseLen == n.Size
}

// fetchNeighbour fetches a small file whole. Whoever asks for it meanwhile waits for the
// same request.
func (fs *FS) fetchNeighbour(ctx context.Context, ino Ino) {
	select {
	case fs.neighbours <- struct{}{}:
		defer func() { <-fs.neighbours }()
	case <-ctx.Done():
		return
	}
	n, err := fs.known(ctx, ino)
	if err != nil || !fs.wantedAhead(n) {
		return
	}
	nd := fs.acquire(ino)
	defer fs.release(nd)
	whole := extent.Range{Off: 0, End: n.Size}
	t := fs.transfer(nd, n.Gen, whole, whole)
	defer nd.transfers.leave(t)
	_ = nd.transfers.wait(ctx, t, whole.End, false) // who reads the file finds out what is wrong
}
