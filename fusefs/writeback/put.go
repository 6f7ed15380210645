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

const (
	// putSize is the largest content, in bytes, that goes in one request; more goes in parts.
	putSize = 32 << 20
	// partSize is the least size of a part; it grows so that MaxParts suffice.
	partSize = 16 << 20
	// partsAtOnce bounds the parts of one file under way.
	partsAtOnce = 4
	// requestTime bounds one request of a write, so that a dead connection ends.
	requestTime = 10 * time.Minute
)

// forget gives up the unfinished writes of a key, once it is known what became of them
// and nobody sends to it again. Another writer's object may have it then.
func (w *Writeback) forget(tx *index.Tx, key string) error {
	w.resolved.Delete(key)
	k, ok, err := tx.Key(key)
	if err != nil || !ok || k.Request == "" {
		return err
	}
	k.Request = ""
	if k.Gone {
		return tx.DeleteKey(key)
	}
	return tx.PutKey(k)
}

// put writes an inode's content and attributes in one go.
func (w *Writeback) put(j *job) error {
	n, err := w.Index.Inode(j.Ino)
	if err != nil {
		return w.undo(j, err)
	}
	if half, err := w.halfKnown(n); err != nil {
		return w.undo(j, err)
	} else if half {
		return w.request(w.ctx, func(ctx context.Context) error { return w.ask(ctx, j, n) })
	}
	body, err := w.body(w.ctx, n, j.task)
	if err != nil {
		err = w.undo(j, err)
		if whole, ierr := w.Index.Inode(n.Whole()); ierr == nil && whole.Placed != "" {
			// Bytes that only its object has may be gone with it (hard-cases 22).
			return w.lookInto(whole.Placed, err)
		}
		return err
	}
	defer func() { _ = body.Close() }() // read only
	// The attributes are those of now: no older than the content, so that its times fit.
	if n, err = w.Index.Inode(j.Ino); err != nil || n.Nlink == 0 {
		return w.undo(j, err)
	}
	attrs, err := w.attributes(n, j, body.Gen(), true)
	if err != nil {
		return w.undo(j, err)
	}
	var obj objstore.Object
	if body.Size() <= putSize {
		var sent sending
		err = w.request(w.ctx, func(ctx context.Context) (err error) {
			obj, err = w.Bucket.Put(ctx, j.Key, whole{body, &sent}, objstore.PutOptions{Attributes: attrs, Condition: j.Cond})
			return err
		})
		if err != nil && sent.held.Load() {
			if err = errChanged; sent.times.Load() == 1 {
				// No store makes an object of a body without its end; of an earlier
				// attempt it may have.
				err = &unsentError{err}
			}
		}
	} else {
		obj, err = w.putParts(w.ctx, j, body, attrs)
	}
	if err != nil {
		return w.refused(j, err)
	}
	return w.landed(j, obj, body.Size(), body.Gen())
}

// attributes encodes an inode's attributes with the lineage of a write.
func (w *Writeback) attributes(n index.Inode, j *job, gen uint64, newContent bool) (objstore.Attributes, error) {
	k, _, err := w.Index.Key(j.Key)
	if err != nil {
		return objstore.Attributes{}, err
	}
	foreign := k.Foreign
	home, err := w.home(n)
	if err != nil {
		return objstore.Attributes{}, err
	}
	if home != "" && home != j.Key {
		old, _, err := w.Index.Key(home)
		if err != nil {
			return objstore.Attributes{}, err
		}
		foreign = old.Foreign // headers move with the file
	} else if k.Owner != n.Ino {
		foreign = index.Foreign{}
	}
	attr := attrOf(n)
	if n.IsRecord() {
		whole, err := w.Index.Inode(n.Of)
		if err != nil {
			return objstore.Attributes{}, err
		}
		attr.Links = whole.Nlink
	}
	attrs, err := layout.Encode(
		attr,
		layout.Lineage{State: w.Index.ID(), Ino: uint64(n.Whole()), Gen: gen, Nonce: j.nonce, Key: layout.KeyHash(j.Key)},
		layout.Foreign(foreign), newContent)
	_, _, sent := layout.Decode(objstore.Object{Attributes: attrs}, n.Dir != nil, w.Defaults)
	j.foreign = index.Foreign(sent)
	return attrs, err
}

// unsentError is a failure before the request that would have written the object.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }

func (e *unsentError) Unwrap() error { return e.err }

// refused handles the error of a write. What was not sent is taken back. A failed
// condition is looked into at once. After anything else, a refusal that may be that of a
// repetition included, the write may have happened: the next plan looks for it.
func (w *Writeback) refused(j *job, cause error) error {
	if _, ok := errors.AsType[*unsentError](cause); ok {
		return w.undo(j, cause)
	}
	switch {
	case errors.Is(cause, objstore.ErrPreconditionFailed), errors.Is(cause, objstore.ErrNotFound):
		return w.lookInto(j.Key, cause)
	case errors.Is(cause, objstore.ErrInvalid) && !w.Bucket.Capabilities().FileAndDirectory:
		// Another client's object is where a directory must be, or the reverse.
		return fmt.Errorf("another object is in the way: %w", cause)
	}
	return cause
}

// isRegular reports whether an inode is a regular file.
func isRegular(n index.Inode) bool { return n.Mode&layout.TypeMask == layout.TypeRegular }
