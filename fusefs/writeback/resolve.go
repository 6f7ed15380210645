package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// lookTime bounds a look at one key.
const lookTime = 30 * time.Second

// resolve finds out what became of earlier writes to a key.
func (w *Writeback) resolve(j *job) error { return w.lookInto(j.Key, nil) }

// lookInto looks at a key after a write whose end is not known, or after a request that
// failed because of what is there (then cause says so), and records what it finds: the
// write itself, nothing new, or another writer's object. It returns the cause if nothing
// new explains it.
func (w *Writeback) lookInto(key string, cause error) error {
	ctx, cancel := context.WithTimeout(w.ctx, lookTime)
	defer cancel()
	head, err := w.Bucket.Head(ctx, key)
	found := err == nil
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return errors.Join(cause, err)
	}
	attr, lineage, foreign := layout.Decode(head, isMarker(key), w.Defaults)
	var after func()
	err = w.Index.Update(func(tx *index.Tx) error {
		k, ok, err := tx.Key(key)
		if err != nil {
			return err
		}
		if found && w.ours(lineage, k) {
			after, err = w.place(tx, placement{
				ino: index.Ino(lineage.Ino), key: key, etag: head.ETag, modified: head.LastModified,
				size: head.Size, gen: lineage.Gen, attrGen: attrGenOf(lineage.Nonce), early: isEarly(lineage.Nonce), foreign: index.Foreign(foreign),
			})
			return err
		}
		w.resolved.Store(key, struct{}{})
		switch {
		case !ok:
			return cause // nothing is left to find out
		case !found:
			// It was never written, or somebody removed it: the name is free.
			gone := index.Key{Key: key, Gone: true, Request: k.Request, At: k.At}
			if after, err = w.bereft(tx, k); err != nil {
				return err
			}
			return tx.PutKey(gone)
		case !k.Gone && k.ETag == head.ETag:
			return cause // as it was before the write
		}
		after, err = w.contested(tx, k, head, attr, index.Foreign(foreign))
		return err
	})
	if err == nil && after != nil {
		after()
	}
	return err
}

// ours reports whether an object is the end of a write of ours to a key that was not
// known to have ended (hard-cases 6).
func (w *Writeback) ours(l layout.Lineage, k index.Key) bool {
	return l.State == w.Index.ID() && l.Key == layout.KeyHash(k.Key) && hasNonce(k.Request, l.Nonce)
}

// contested handles a key that holds another writer's object, of which the index knew
// nothing. What belongs to the key decides: content of ours that the bucket does not
// have goes to a conflict name; anything else takes the new object over.
func (w *Writeback) contested(tx *index.Tx, k index.Key, head objstore.Object, attr layout.Attr, foreign index.Foreign) (func(), error) {
	n, wanted, err := wantedBy(tx, w.Layout, k.Key)
	if err == nil && wanted && isLoose(n) {
		// It is about one of its names.
		if err = bind(tx, n.Ino); err == nil {
			n, wanted, err = wantedBy(tx, w.Layout, k.Key)
		}
	}
	if err != nil {
		return nil, err
	}
	k.ETag, k.LastModified, k.Size, k.Foreign, k.Gone, k.Request = head.ETag, head.LastModified, head.Size, foreign, false, ""
	w.resolved.Delete(k.Key)
	switch {
	case !wanted || n.Nlink == 0:
		// Nothing of ours belongs here: the directory's next listing shows it.
		after, err := w.bereft(tx, k)
		return after, errors.Join(err, tx.DeleteKey(k.Key), tx.Spare(k.Key), w.unlist(tx, k.Key))
	case n.Dir != nil, n.IsRecord():
		// Two writers made the same directory: ours adds its attributes.
		k.Owner = n.Ino
		n.Placed, n.Sending = k.Key, ""
		return nil, errors.Join(tx.PutKey(k), tx.PutInode(n))
	case n.Placed == k.Key && n.Gen == n.PlacedGen && attr.Mode&layout.TypeMask == n.Mode&layout.TypeMask:
		// Only attributes of ours are on their way: they go on to the new content.
		if w.Files.Passed(n.Whole()) {
			return nil, fmt.Errorf("%w, and programs have the one before open", ErrConflict)
		}
		return w.adopt(tx, n, k, attr, true)
	}
	if n.Of != 0 {
		// What is ours keeps its other names.
		if whole, err := tx.Inode(n.Of); err != nil || whole.Nlink > 1 {
			after, derr := w.dissolve(tx, n, k, head, attr)
			return after, errors.Join(err, derr)
		}
	}
	return w.divert(tx, n, k, head, attr)
}

// divert gives the name to the bucket's object and keeps ours beside it under a conflict
// name.
func (w *Writeback) divert(tx *index.Tx, n index.Inode, k index.Key, head objstore.Object, attr layout.Attr) (func(), error) {
	path, err := Path(tx, n.Ino)
	if err != nil {
		return nil, err
	}
	names, err := tx.Names(n.Ino)
	if err != nil {
		return nil, err
	}
	at := names[0]
	after, err := w.bereft(tx, k)
	if err != nil {
		return nil, err
	}
	if n, err = tx.Inode(n.Ino); err != nil {
		return nil, err
	}
	if n.Nlink == 0 {
		// Nothing of ours is worth a name: theirs is all there is.
		_, err := w.Import(tx, at.Parent, at.Name, k.Key, head, attr, k.Foreign)
		return after, err
	}
	to, kept, err := w.conflictName(tx, at, path)
	if err != nil {
		return nil, err
	}
	if n.Sending == k.Key {
		n.Sending = ""
	}
	err = errors.Join(tx.Remove(at.Parent, at.Name), tx.Enter(to.Parent, to.Name, n.Ino), tx.PutInode(n), tx.SetDirty(n.Ino))
	if err != nil {
		return nil, err
	}
	attr.Link = "" // whatever it carries, it is not the file that was here
	if _, err := w.Import(tx, at.Parent, at.Name, k.Key, head, attr, k.Foreign); err != nil {
		return nil, err
	}
	w.conflicts.Add(1)
	w.Log.Error("conflict: another writer's object keeps the name, ours is kept beside it",
		"key", k.Key, "kept-as", kept, "inode", uint64(n.Ino))
	return func() {
		w.Dirty(n.Ino, 0)
		w.Files.EntryChanged(at.Parent, at.Name)
		w.Files.EntryChanged(to.Parent, to.Name)
		w.Files.Failed(n.Ino, fmt.Errorf("%w: our version is %q", ErrConflict, kept))
	}, nil
}

// conflictName returns where our version of a file is kept, as a place and as a path: a
// new name beside it.
func (w *Writeback) conflictName(tx *index.Tx, at index.Name, path string) (index.Name, string, error) {
	for now := time.Now(); ; now = now.Add(time.Millisecond) {
		kept, err := w.Layout.ConflictPath(path, w.Host, now)
		if err != nil {
			return index.Name{}, "", err
		}
		_, at.Name = layout.Split(kept)
		if _, err := tx.Lookup(at.Parent, at.Name); !errors.Is(err, index.ErrNotFound) {
			if err != nil {
				return index.Name{}, "", err
			}
			continue
		}
		return at, kept, nil
	}
}

// withoutBase gives up the bytes of a file that only its overwritten object had
// (hard-cases 22).
func (w *Writeback) withoutBase(tx *index.Tx, n index.Inode) error {
	c, err := tx.Content(n.Ino)
	if err != nil {
		return err
	}
	if missing := c.Absent(0, n.Size); len(missing) > 0 {
		w.Log.Error("the overwritten object had parts of a file that were not on this host: they are zeros now",
			"inode", uint64(n.Ino), "missing", missing)
	}
	c.BaseLen = 0
	return tx.PutContent(n.Ino, c)
}

// ErrConflict is the error of a write that met another writer's object.
var ErrConflict = errors.New("another writer changed the object")

// refresh looks at an inode's object after it was found to be another than known. The
// caller sees to it that no request of ours changes the key meanwhile.
func (w *Writeback) refresh(ctx context.Context, ino index.Ino, key string) error {
	return w.look(ctx, ino, key, func() bool { return false })
}

func (w *Writeback) look(ctx context.Context, ino index.Ino, key string, overtaken func() bool) error {
	head, err := w.Bucket.Head(ctx, key)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	found := err == nil
	var after func()
	err = w.Index.Update(func(tx *index.Tx) error {
		if overtaken() {
			return nil
		}
		var err error
		after, err = w.seen(tx, ino, key, head, found)
		return err
	})
	if err == nil && after != nil {
		after()
	}
	return err
}

// Refresh looks at the object of an inode whose bytes were not what the index said. It
// learns nothing of a key that a request of ours changes at this moment.
func (w *Writeback) Refresh(ctx context.Context, ino index.Ino) error {
	l := w.BeginListing()
	defer l.End()
	n, err := w.Index.Inode(ino)
	if err != nil || n.Placed == "" {
		return err
	}
	k, ok, err := w.Index.Key(n.Placed)
	if err != nil || !ok {
		return err
	}
	return w.look(ctx, k.Owner, n.Placed, func() bool { return l.Overtaken(n.Placed) })
}

// isMarker reports whether a key is a directory's.
func isMarker(key string) bool { return key != "" && key[len(key)-1] == '/' }
