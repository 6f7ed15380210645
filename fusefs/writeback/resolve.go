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
func (w *Writeback) resolve(j *job) error { return w.lookInto(j, nil) }

// lookInto looks at a key after a write whose end is not known, or whose condition
// failed (then cause says so), and records what it finds: the write itself, nothing
// new, or another writer's object.
func (w *Writeback) lookInto(j *job, cause error) error {
	ctx, cancel := context.WithTimeout(w.ctx, lookTime)
	defer cancel()
	head, err := w.Bucket.Head(ctx, j.Key)
	found := err == nil
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return errors.Join(cause, err)
	}
	attr, lineage, foreign := layout.Decode(head, isMarker(j.Key), w.Defaults)
	var after func()
	err = w.Index.Update(func(tx *index.Tx) error {
		k, ok, err := tx.Key(j.Key)
		if err != nil || !ok {
			return err
		}
		if found && w.ours(lineage, k) {
			k.Foreign = index.Foreign(foreign)
			if err := tx.PutKey(k); err != nil {
				return err
			}
			after, err = w.place(tx, placement{
				ino: index.Ino(lineage.Ino), key: j.Key, etag: head.ETag, modified: head.LastModified,
				size: head.Size, gen: lineage.Gen, attrGen: attrGenOf(lineage.Nonce),
			})
			return err
		}
		w.resolved.Store(j.Key, struct{}{})
		switch {
		case !found:
			// It was never written, or somebody removed it: the name is free.
			if k.Owner != 0 {
				if err := evicted(tx, k.Owner, j.Key); err != nil {
					return err
				}
			}
			k = index.Key{Key: j.Key, Gone: true, Request: k.Request}
			return tx.PutKey(k)
		case !k.Gone && k.ETag == head.ETag:
			return nil // as it was before the write
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
	if err != nil {
		return nil, err
	}
	k.ETag, k.LastModified, k.Size, k.Foreign, k.Gone, k.Request = head.ETag, head.LastModified, head.Size, foreign, false, ""
	w.resolved.Delete(k.Key)
	switch {
	case !wanted || n.Nlink == 0:
		// Nothing of ours belongs here: the directory's next listing shows it.
		return nil, errors.Join(evictedFrom(tx, k), tx.DeleteKey(k.Key), tx.Spare(k.Key), w.unlist(tx, k.Key))
	case n.Dir != nil:
		// Two writers made the same directory: ours adds its attributes.
		k.Owner = n.Ino
		n.Placed, n.Sending = k.Key, ""
		return nil, errors.Join(tx.PutKey(k), tx.PutInode(n))
	case n.Placed == k.Key && n.Gen == n.PlacedGen && attr.Mode&typeBits == n.Mode&typeBits:
		// Only attributes of ours are on their way: they go on to the new content.
		return w.adopt(tx, n, k, attr, true)
	}
	return w.divert(tx, n, k, head, attr)
}

// evictedFrom takes a key from the inode that the index has for it.
func evictedFrom(tx *index.Tx, k index.Key) error {
	if k.Owner == 0 {
		return nil
	}
	return evicted(tx, k.Owner, k.Key)
}

// divert gives the name to the bucket's object and keeps ours beside it under a conflict
// name.
func (w *Writeback) divert(tx *index.Tx, n index.Inode, k index.Key, head objstore.Object, attr layout.Attr) (func(), error) {
	names, err := tx.Names(n.Ino)
	if err != nil {
		return nil, err
	}
	at := names[0]
	name := layout.ConflictName(at.Name, w.Host, time.Now())
	if err := errors.Join(evictedFrom(tx, k), tx.Remove(at.Parent, at.Name)); err != nil {
		return nil, err
	}
	if n, err = tx.Inode(n.Ino); err != nil {
		return nil, err
	}
	n.Sending = ""
	if n.Placed == "" {
		n.Gen = max(n.Gen, n.PlacedGen+1)
		if err := w.withoutBase(tx, n); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(tx.Enter(at.Parent, name, n.Ino), tx.PutInode(n), tx.SetDirty(n.Ino)); err != nil {
		return nil, err
	}
	theirs, err := Import(tx, at.Parent, at.Name, k.Key, head, attr, k.Foreign)
	if err != nil {
		return nil, err
	}
	w.conflicts.Add(1)
	w.Log.Error("conflict: another writer's object keeps the name, ours is kept beside it",
		"key", k.Key, "kept-as", name, "inode", uint64(theirs))
	return func() {
		w.Dirty(n.Ino, 0)
		w.Files.EntryChanged(at.Parent, at.Name)
		w.Files.EntryChanged(at.Parent, name)
		w.Files.Failed(n.Ino, fmt.Errorf("%w: our version is %q", ErrConflict, name))
	}, nil
}

// withoutBase gives up the bytes of a file that only its overwritten object had
// (hard-cases 22).
func (w *Writeback) withoutBase(tx *index.Tx, n index.Inode) error {
	c, err := tx.Content(n.Ino)
	if err != nil {
		return err
	}
	if missing := c.Resident.Missing(0, min(c.BaseLen, n.Size)); len(missing) > 0 {
		w.Log.Error("the overwritten object had parts of a file that were not on this host: they are zeros now",
			"inode", uint64(n.Ino), "missing", missing)
	}
	c.BaseLen = 0
	return tx.PutContent(n.Ino, c)
}

// ErrConflict is the error of a write that met another writer's object.
var ErrConflict = errors.New("another writer changed the object")

// refresh looks at an inode's object after it was found to be another than known.
func (w *Writeback) refresh(ctx context.Context, ino index.Ino, key string) error {
	look := w.BeginListing()
	defer look.End()
	head, err := w.Bucket.Head(ctx, key)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	found := err == nil
	var after func()
	err = w.Index.Update(func(tx *index.Tx) error {
		after, err = w.seen(tx, ino, key, head, found)
		return err
	})
	if err == nil && after != nil {
		after()
	}
	return err
}

// Refresh looks at the object of an inode whose bytes were not what the index said.
func (w *Writeback) Refresh(ctx context.Context, ino index.Ino) error {
	n, err := w.Index.Inode(ino)
	if err != nil || n.Placed == "" {
		return err
	}
	return w.refresh(ctx, ino, n.Placed)
}

// isMarker reports whether a key is a directory's.
func isMarker(key string) bool { return key != "" && key[len(key)-1] == '/' }
