package writeback

import (
	"context"
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// halfKnown reports whether an inode's object must be asked for before it is written
// again: a listing has not shown its attributes, or not its headers (hard-cases 27).
func (w *Writeback) halfKnown(n index.Inode) (bool, error) {
	if n.Placed == "" || n.Vague {
		return n.Placed != "", nil
	}
	k, ok, err := w.Index.Key(n.Placed)
	return ok && k.Bare && n.Dir == nil, err
}

// ask takes a write back that was announced and asks for what is not known of the object;
// the next plan writes it.
func (w *Writeback) ask(ctx context.Context, j *job, n index.Inode) error {
	if err := w.undo(j, nil); err != nil {
		return err
	}
	if n.Vague {
		return w.refresh(ctx, n.Ino, n.Placed)
	}
	head, err := w.Bucket.Head(ctx, n.Placed)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	_, _, foreign := layout.Decode(head, false, w.Defaults)
	return w.Index.Update(func(tx *index.Tx) error {
		k, ok, err := tx.Key(n.Placed)
		if err != nil || !ok {
			return err
		}
		// With another ETag it is not this object: its condition will tell.
		if k.Bare = false; k.ETag == head.ETag {
			k.Foreign = index.Foreign(foreign)
		}
		return tx.PutKey(k)
	})
}
