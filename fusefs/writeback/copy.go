package writeback

import (
	"context"
	"errors"
	"fmt"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// relaySize is the object, in bytes, up to which reading and writing it again is quicker
// than the three requests of a copy inside the store.
const relaySize = 128 << 10

// copy writes an object with an inode's attributes and the bytes of its present object,
// inside the store. At another key it is a multipart upload even for a small object: a bare
// CopyObject takes no condition on its target everywhere (hard-cases 7).
func (w *Writeback) copy(j *job) error {
	n, err := w.Index.Inode(j.Ino)
	if err != nil {
		return w.undo(j, err)
	}
	if half, err := w.halfKnown(n); err != nil {
		return w.undo(j, err)
	} else if half {
		return w.request(w.ctx, func(ctx context.Context) error { return w.ask(ctx, j, n) })
	}
	src, _, err := w.Index.Key(j.From)
	if err != nil {
		return w.undo(j, err)
	}
	attrs, err := w.attributes(n, j, j.Gen, false)
	if err != nil {
		return w.undo(j, err)
	}
	var obj objstore.Object
	if j.late {
		obj, err = w.setAttributes(j, src, attrs)
	}
	if !j.late || errors.Is(err, objstore.ErrInvalid) || errors.Is(err, objstore.ErrUnsupported) {
		obj, err = w.copyObject(w.ctx, j, src, attrs)
	}
	if err == nil {
		return w.landed(j, obj, src.Size, j.Gen)
	}
	if _, ok := errors.AsType[*sourceError](err); ok {
		// Nothing was written. Somebody changed or removed the source: look again.
		if undone := w.undo(j, nil); undone != nil {
			return undone
		}
		return w.request(w.ctx, func(ctx context.Context) error { return w.changedThere(ctx, src.Owner, src, err) })
	}
	return w.refused(j, err)
}

// changedThere looks at an inode's object after a read of it failed. It returns the cause
// if the object is what it was.
func (w *Writeback) changedThere(ctx context.Context, ino index.Ino, was index.Key, cause error) error {
	if err := w.refresh(ctx, ino, was.Key); err != nil {
		return errors.Join(cause, err)
	}
	now, ok, err := w.Index.Key(was.Key)
	if err == nil && ok && now.ETag == was.ETag && now.Owner == ino {
		err = cause
	}
	return err
}

// sourceError is the failure of a copy whose source is not what it was.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "source of a copy: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// copyObject copies src to the job's key with the given attributes.
func (w *Writeback) copyObject(ctx context.Context, j *job, src index.Key, attrs objstore.Attributes) (objstore.Object, error) {
	if !w.Bucket.Capabilities().CopyPart || src.Size <= relaySize {
		return w.relay(ctx, j, src, attrs)
	}
	return w.putPieces(ctx, j, nil, w.copiedWhole(src), attrs)
}

// park copies an inode's object to a hidden key, so that its key is free for others.
// The hidden key is this inode's alone: a repetition may overwrite it.
func (w *Writeback) park(j *job) error {
	n, err := w.Index.Inode(j.Ino)
	if err != nil {
		return err
	}
	if half, err := w.halfKnown(n); err != nil {
		return err
	} else if half {
		return w.request(w.ctx, func(ctx context.Context) error { return w.learn(ctx, n) })
	}
	src, ok, err := w.Index.Key(j.From)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("inode %d is at %q, of which the index knows nothing", j.Ino, j.From)
	}
	j.nonce = newNonce(n.PlacedAttrGen)
	attrs, err := w.attributes(n, j, n.PlacedGen, false)
	if err != nil {
		return err
	}
	obj, err := w.copyObject(w.ctx, j, src, attrs)
	// It, or that of an earlier attempt, may have been made, and not be wanted any more when
	// this is tried again.
	j.leftover = err != nil
	if _, ok := errors.AsType[*sourceError](err); ok {
		return w.request(w.ctx, func(ctx context.Context) error { return w.changedThere(ctx, j.Ino, src, err) })
	}
	if err != nil {
		return err
	}
	return w.Index.Update(func(tx *index.Tx) error {
		err := w.parked(tx, j, obj, src.Size)
		j.free(w)
		return err
	})
}

// parked records a hidden copy: the inode is placed there, its former key is nobody's.
func (w *Writeback) parked(tx *index.Tx, j *job, obj objstore.Object, size int64) error {
	n, err := tx.Inode(j.Ino)
	// One that got members meanwhile has handed its object to one of them.
	if errors.Is(err, index.ErrNotFound) || err == nil && (n.Placed != j.From || n.HasMembers()) {
		w.Doomed(j.Key)
		return errors.Join(tx.PutKey(index.Key{Key: j.Key, ETag: obj.ETag, Size: size}), tx.Doom(j.Key))
	}
	if err != nil {
		return err
	}
	n.Placed = j.Key
	if err := atHome(tx, n, j.From); err != nil {
		return err
	}
	if n.Nlink == 0 {
		// Unlinked meanwhile, with the key in view at which it was then.
		w.Doomed(j.Key)
		err = tx.Doom(j.Key)
	}
	return errors.Join(err, w.abandon(tx, j.From, j.Ino), tx.PutInode(n),
		tx.PutKey(index.Key{Key: j.Key, ETag: obj.ETag, Size: size, Owner: j.Ino, Foreign: j.foreign}))
}
