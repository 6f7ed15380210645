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
	home, err := w.home(n)
	if err != nil || home == "" || n.Vague {
		return home != "", err
	}
	k, ok, err := w.Index.Key(home)
	return ok && k.Bare && n.Dir == nil, err
}

// home is the key at which the bucket has an inode; of a new name of a file another's.
func (w *Writeback) home(n index.Inode) (string, error) {
	if n.Placed != "" || n.Of == 0 || n.IsRecord() {
		return n.Placed, nil
	}
	whole, err := w.Index.Inode(n.Of)
	if errors.Is(err, index.ErrNotFound) {
		return "", nil
	}
	return whole.Placed, err
}

// ask takes a write back that was announced and asks for what is not known of the object;
// the next plan writes it.
func (w *Writeback) ask(ctx context.Context, j *job, n index.Inode) error {
	if err := w.undo(j, nil); err != nil {
		return err
	}
	return w.learn(ctx, n)
}

// learn asks for what is not known of an inode's object.
func (w *Writeback) learn(ctx context.Context, n index.Inode) error {
	if n.Vague {
		return w.refresh(ctx, n.Ino, n.Placed)
	}
	home, err := w.home(n)
	if err != nil {
		return err
	}
	head, err := w.Bucket.Head(ctx, home)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	_, _, foreign := layout.Decode(head, false, w.Defaults)
	return w.Index.Update(func(tx *index.Tx) error {
		k, ok, err := tx.Key(home)
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
