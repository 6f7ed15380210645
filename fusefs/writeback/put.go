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
	// partsAtOnce bounds the parts of one file under way.
	partsAtOnce = 8
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
	if j.stream != nil {
		defer w.leaveStream(j.stream)
	}
	n, err := w.Index.Inode(j.Ino)
	if err != nil {
		return w.undo(j, err)
	}
	if half, err := w.halfKnown(n); err != nil {
		return w.undo(j, err)
	} else if half {
		return w.request(w.ctx, func(ctx context.Context) error { return w.ask(ctx, j, n) })
	}
	p, err := w.send(j, n, false)
	if _, unsent := errors.AsType[*unsentError](err); p.copied && objstore.Refused(err) && (unsent || !errors.Is(err, objstore.ErrPreconditionFailed)) {
		// What was to be copied is not there, or the store does not take such parts: those
		// of some must all be of one size.
		if errors.Is(err, objstore.ErrInvalid) || errors.Is(err, objstore.ErrUnsupported) {
			w.sendsWhole.Store(true)
		}
		p, err = w.send(j, n, true)
	}
	if unread, ok := errors.AsType[*unreadError](err); ok {
		err = w.undo(j, unread.err)
		if whole, ierr := w.Index.Inode(n.Whole()); ierr == nil && whole.Placed != "" {
			// Bytes that only its object has may be gone with it (hard-cases 22).
			return w.lookInto(whole.Placed, err)
		}
		return err
	}
	if errors.Is(err, errNoStream) {
		return w.undo(j, nil) // the next plan sends all of it
	}
	if err != nil {
		return w.refused(j, err)
	}
	return w.landed(j, p.obj, p.size, p.gen)
}

// parcel is what was sent of an inode.
type parcel struct {
	obj    objstore.Object
	size   int64
	gen    uint64
	copied bool // some of it was to be copied inside the store
}

// send sends an inode's content, with whole set all of it, and its attributes.
func (w *Writeback) send(j *job, n index.Inode, whole bool) (parcel, error) {
	body, plan, err := w.body(w.ctx, n, j.task, whole || j.stream != nil)
	if err != nil {
		return parcel{}, &unreadError{err}
	}
	defer func() { _ = body.Close() }() // read only
	p := parcel{size: body.Size(), gen: body.Gen(), copied: plan.copies()}
	// The attributes are those of now: no older than the content, so that its times fit.
	if n, err = w.Index.Inode(j.Ino); err != nil {
		return p, &unsentError{err}
	}
	if n.Nlink == 0 {
		return p, &unsentError{errChanged}
	}
	if j.stream != nil {
		p.obj, err = w.putStream(w.ctx, j, body)
		return p, err
	}
	attrs, err := w.attributes(n, j, p.gen, true)
	if err != nil {
		return p, &unsentError{err}
	}
	if p.size <= w.putSize() {
		p.obj, err = w.putWhole(j, body, attrs)
	} else {
		p.obj, err = w.putPieces(w.ctx, j, body, plan, attrs)
	}
	return p, err
}

// putWhole sends a content in one request.
func (w *Writeback) putWhole(j *job, body Content, attrs objstore.Attributes) (obj objstore.Object, err error) {
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
	return obj, err
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

// unreadError is the failure of a write whose content could not be read.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (e *unreadError) Unwrap() error { return e.err }

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
