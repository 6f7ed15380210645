package writeback

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// syncPatience is how long Sync goes on trying a store that does not answer.
const syncPatience = 30 * time.Second

// watchers let callers wait for a task's next step to end.
type watchers struct {
	mu sync.Mutex
	m  map[task]*watcher
}

type watcher struct {
	ended chan struct{}
	err   error
}

// on returns what is told of the next end of a step of t. It is taken before looking at
// the state, so that no end is missed.
func (w *watchers) on(t task) *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m == nil {
		w.m = make(map[task]*watcher)
	}
	x, ok := w.m[t]
	if !ok {
		x = &watcher{ended: make(chan struct{})}
		w.m[t] = x
	}
	return x
}

func (w *watchers) wake(t task) { w.fail(t, nil) }

func (w *watchers) fail(t task, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x, ok := w.m[t]; ok {
		x.err = err
		close(x.ended)
		delete(w.m, t)
	}
}

// Sync waits until the bucket has an inode as it is now: content, attributes, its name
// and the directories that its name depends on. An unlinked inode has nothing to wait
// for. The error of a store that refuses is returned at once, that of one that does not
// answer after syncPatience; the inode stays queued.
func (w *Writeback) Sync(ctx context.Context, ino index.Ino) error {
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	if err := w.syncOne(ctx, ino); err != nil {
		return err
	}
	return w.syncAbove(ctx, ino)
}

// syncAbove waits for the directories above an inode that have no object yet, or one
// elsewhere.
func (w *Writeback) syncAbove(ctx context.Context, ino index.Ino) error {
	for ino != index.Root {
		names, err := w.Index.Names(ino)
		if err != nil || len(names) == 0 {
			return err
		}
		ino = names[0].Parent
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
	}
	return nil
}

func (w *Writeback) syncOne(ctx context.Context, ino index.Ino) error {
	want, err := w.Index.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t := inodeTask(ino)
	var last error
	for {
		x := w.watch.on(t)
		ok, err := w.reached(want)
		if err != nil || ok {
			return err
		}
		w.sched.add(t, time.Now())
		w.sched.rush(t)
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-x.ended:
			if last = x.err; last != nil && objstore.Refused(last) {
				return last
			}
		}
		if last != nil && !errors.Is(last, errChanged) {
			if !sleepOr(ctx, nil, retryMin) {
				return errors.Join(last, ctx.Err())
			}
		}
	}
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
// was created, renamed or removed in it before the call.
func (w *Writeback) SyncDir(ctx context.Context, dir index.Ino) error {
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	var children []index.Ino
	err := w.Index.Dirents(dir, 0, func(d index.Dirent) bool {
		children = append(children, d.Ino)
		return true
	})
	if err != nil {
		return err
	}
	for _, ino := range append(children, dir) {
		dirty, err := w.Index.IsDirty(ino)
		if err != nil {
			return err
		}
		if dirty {
			if err := w.syncOne(ctx, ino); err != nil {
				return err
			}
		}
	}
	if err := w.syncDeletes(ctx, dir); err != nil {
		return err
	}
	return w.syncAbove(ctx, dir)
}

// syncDeletes waits for the deletion of keys directly in a directory.
func (w *Writeback) syncDeletes(ctx context.Context, dir index.Ino) error {
	n, err := w.Index.Inode(dir)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	prefix, err := KeyOf(w.Index, w.Layout, n)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var doomed []string
	err = w.Index.Doomed(func(key string) bool {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" && strings.Count(strings.TrimSuffix(rest, "/"), "/") == 0 {
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
	t := keyTask(key)
	for {
		x := w.watch.on(t)
		doomed, err := w.Index.IsDoomed(key)
		if err != nil || !doomed {
			return err
		}
		w.sched.add(t, time.Now())
		w.sched.rush(t)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.ended:
			if x.err != nil && objstore.Refused(x.err) {
				return x.err
			}
		}
	}
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
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if w.sched.len() == 0 {
			p, err := w.Pending(0)
			if err != nil || p.Files == 0 {
				return err
			}
		}
		select {
		case <-ctx.Done():
			p, err := w.Pending(maxNames)
			if err != nil {
				return err
			}
			if p.Files == 0 {
				return nil
			}
			return &p
		case <-tick.C:
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
