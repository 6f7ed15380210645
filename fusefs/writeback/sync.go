package writeback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// Sync waits until the bucket has an inode as it is now: content, attributes, its name
// and the directories that its name depends on. An unlinked inode has nothing to wait
// for. The error of a store that refuses is returned at once, that of one that fails, or
// does not answer, after syncPatience; the inode stays queued.
func (w *Writeback) Sync(ctx context.Context, ino index.Ino) error {
	if err := w.syncOne(ctx, ino); err != nil {
		return err
	}
	return w.syncAbove(ctx, ino)
}

// syncAbove waits for the directories above an inode that have no object yet, or one
// elsewhere.
func (w *Writeback) syncAbove(ctx context.Context, ino index.Ino) error {
	if ino == index.Root {
		return nil
	}
	names, err := w.Index.Names(ino)
	if err != nil {
		return err
	}
	for _, at := range names {
		if err := w.syncDirs(ctx, at.Parent); err != nil {
			return err
		}
	}
	return nil
}

// syncDirs waits for a directory and those above it that have no object yet, or one
// elsewhere.
func (w *Writeback) syncDirs(ctx context.Context, ino index.Ino) error {
	for {
		n, err := w.Index.Inode(ino)
		if errors.Is(err, index.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		key, err := KeyOf(w.Index, w.Layout, n)
		if errors.Is(err, index.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if n.AttrGen > 0 && n.Placed != key {
			if err := w.syncOne(ctx, ino); err != nil {
				return err
			}
		}
		names, err := w.Index.Names(ino)
		if err != nil || len(names) == 0 {
			return err
		}
		ino = names[0].Parent
	}
}

func (w *Writeback) syncOne(ctx context.Context, ino index.Ino) error {
	want, err := w.Index.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if isLoose(want) {
		if err := w.Index.Update(func(tx *index.Tx) error { return bind(tx, ino) }); err != nil {
			return err
		}
		return w.syncOne(ctx, ino)
	}
	if want.HasMembers() {
		return w.syncMembers(ctx, ino)
	}
	return w.await(ctx, inodeTask(ino), func() (bool, error) { return w.reached(want) })
}

// syncMembers waits until the bucket has an inode under each of its names.
func (w *Writeback) syncMembers(ctx context.Context, ino index.Ino) error {
	members, err := w.Index.Members(ino)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := w.syncOne(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// reached reports whether the bucket holds at least the given state of an inode.
func (w *Writeback) reached(want index.Inode) (bool, error) {
	n, err := w.Index.Inode(want.Ino)
	if errors.Is(err, index.ErrNotFound) {
		return true, nil
	}
	if err != nil || n.Nlink == 0 {
		return true, err
	}
	if n.PlacedGen < want.Gen || n.PlacedAttrGen < want.AttrGen {
		return false, nil
	}
	if n.Placed == "" {
		// A directory without attributes of its own needs no object.
		return n.Dir != nil && n.AttrGen == 0, nil
	}
	key, err := KeyOf(w.Index, w.Layout, n)
	if errors.Is(err, index.ErrNotFound) {
		return true, nil
	}
	return n.Placed == key, err
}

// SyncDir waits until the names of a directory are in the bucket as they are now: what
// was created, renamed or removed in it before the call, and its attributes but for the
// times that this gave it.
func (w *Writeback) SyncDir(ctx context.Context, dir index.Ino) error {
	n, err := w.Index.Inode(dir)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := folderOf(w.Index, w.Layout, dir)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.syncNames(ctx, n.Ino, f); err != nil {
		return err
	}
	if err := w.syncDeletes(ctx, f); err != nil {
		return err
	}
	return w.syncAbove(ctx, dir)
}

// syncNames waits for a directory, and for what is queued with a name in it or an object
// that has still to leave it.
func (w *Writeback) syncNames(ctx context.Context, dir index.Ino, f layout.Folder) error {
	var inside []index.Ino
	var failed error
	err := w.Index.Dirty(func(ino index.Ino) bool {
		n, err := w.Index.Inode(ino)
		if errors.Is(err, index.ErrNotFound) {
			return true
		}
		names, nerr := w.Index.Names(ino)
		if failed = errors.Join(err, nerr); failed != nil {
			return false
		}
		isName := func(at index.Name) bool { return at.Parent == dir }
		if there, err := w.isThere(n); err != nil || there {
			failed = err
			return err == nil
		}
		if ino == dir || f.Holds(n.Placed) || slices.ContainsFunc(names, isName) {
			inside = append(inside, ino)
		}
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for _, ino := range inside {
		if err := w.syncOne(ctx, ino); err != nil {
			return err
		}
	}
	return nil
}

// isThere reports whether a directory is in the bucket, but for times that its names gave it.
func (w *Writeback) isThere(n index.Inode) (bool, error) {
	if n.Dir == nil || n.Placed == "" || !w.dirTimes.alone(n) {
		return false, nil
	}
	key, err := KeyOf(w.Index, w.Layout, n)
	if errors.Is(err, index.ErrNotFound) {
		return false, nil
	}
	return n.Placed == key, err
}

// syncDeletes waits for the deletion of keys directly in a directory.
func (w *Writeback) syncDeletes(ctx context.Context, f layout.Folder) error {
	var doomed []string
	err := w.Index.Doomed(func(key string) bool {
		if f.Holds(key) {
			doomed = append(doomed, key)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range doomed {
		if err := w.syncKey(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writeback) syncKey(ctx context.Context, key string) error {
	return w.await(ctx, keyTask(key), func() (bool, error) {
		doomed, err := w.Index.IsDoomed(key)
		return !doomed, err
	})
}

// PendingError says what of a volume is not in the bucket.
type PendingError struct {
	Files int      // inodes and keys that differ
	Bytes int64    // of content not uploaded
	Names []string // some of the paths
	Err   error    // why, if a request failed
}

func (e *PendingError) Error() string {
	s := fmt.Sprintf("%d changes with %d bytes are not in the bucket yet (%s)", e.Files, e.Bytes, strings.Join(e.Names, ", "))
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns why, if a request failed.
func (e *PendingError) Unwrap() error { return e.Err }

// Drain sends everything without settling time and waits for it, until ctx ends: then it
// returns a *PendingError, and the work goes on.
func (w *Writeback) Drain(ctx context.Context) error {
	defer w.sched.rushAll()()
	for {
		select {
		case <-ctx.Done():
			p, err := w.Pending(maxNames)
			if err != nil || p.Files == 0 {
				return err
			}
			return &p
		case <-w.sched.idle():
		}
		p, err := w.Pending(0)
		if err != nil || p.Files == 0 {
			return err
		}
		// The last task's end was not committed yet, or something was queued just now.
		if err := w.enqueue(); err != nil {
			return err
		}
	}
}

// maxNames bounds the paths in a PendingError.
const maxNames = 5

// Pending counts what is not in the bucket. With names > 0 the bytes are summed and so
// many paths named.
func (w *Writeback) Pending(names int) (PendingError, error) {
	p := PendingError{Err: w.LastError()}
	var failed error
	inode := func(ino index.Ino) bool {
		p.Files++
		if names == 0 {
			return true
		}
		n, err := w.Index.Inode(ino)
		if err != nil {
			if !errors.Is(err, index.ErrNotFound) {
				failed = err
			}
			return true
		}
		if n.Gen > n.PlacedGen && isRegular(n) {
			p.Bytes += n.Size
		}
		if len(p.Names) < names {
			if path, err := Path(w.Index, ino); err == nil {
				p.Names = append(p.Names, "/"+path)
			}
		}
		return true
	}
	err := errors.Join(
		w.Index.Dirty(inode),
		w.Index.Subtrees(inode),
		w.Index.Doomed(func(key string) bool {
			p.Files++
			if len(p.Names) < names {
				p.Names = append(p.Names, "removal of "+key)
			}
			return true
		}))
	return p, errors.Join(err, failed)
}
