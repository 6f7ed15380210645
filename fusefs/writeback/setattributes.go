package writeback

import (
	"context"
	"errors"
	"strings"

	"objvol/fusefs/index"
	"objvol/objstore"
)

// Attributes of an object whose bytes stay are set in one request where the store can. It is
// no ordinary write: the store may execute it long after it was sent, and its condition is
// not as strict (hard-cases 7). So what is small and whole on this host is sent again
// instead, and after an answer that is lost, or never came, its key rests.

// setsAttributes reports whether a step changes nothing but the attributes of an object, and
// the store does that in one request.
func (w *Writeback) setsAttributes(tx *index.Tx, s Step) (bool, error) {
	if s.Action != Copy || s.From != s.Key || isMarker(s.Key) || w.setsNone.Load() || !w.Bucket.Capabilities().SetAttributes {
		return false, nil
	}
	k, _, err := tx.Key(s.Key)
	return k.Size <= objstore.MaxPutSize, err
}

// setAttributes gives the object of a step other attributes.
func (w *Writeback) setAttributes(j *job, src index.Key, attrs objstore.Attributes) (obj objstore.Object, err error) {
	err = w.request(w.ctx, func(ctx context.Context) (err error) {
		obj, err = w.Bucket.SetAttributes(ctx, j.Key, src.ETag, attrs)
		return err
	})
	switch {
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrPreconditionFailed):
		err = &sourceError{err}
	case errors.Is(err, objstore.ErrInvalid), errors.Is(err, objstore.ErrUnsupported):
		w.setsNone.Store(true) // it only seemed to take them
	case err != nil && !objstore.Refused(err):
		j.rest = objstore.SetExpiry
	}
	return obj, err
}

// lateMark ends the nonce of a write that may be executed long after it was sent.
const lateMark = "-late"

// restAll lets the keys rest to which an earlier process sent such a write.
func (w *Writeback) restAll() error {
	var failed error
	err := w.Index.Dirty(func(ino index.Ino) bool {
		n, err := w.Index.Inode(ino)
		if errors.Is(err, index.ErrNotFound) || err == nil && n.Sending == "" {
			return true
		}
		var k index.Key
		if err == nil {
			k, _, err = w.Index.Key(n.Sending)
		}
		if failed = err; err != nil {
			return false
		}
		if isLate(k.Request) {
			w.sched.rest(k.Key, objstore.SetExpiry)
		}
		return true
	})
	return errors.Join(err, failed)
}

// isLate reports whether one of some nonces is of such a write.
func isLate(list string) bool {
	for nonce := range strings.SplitSeq(list, ",") {
		if strings.HasSuffix(nonce, lateMark) {
			return true
		}
	}
	return false
}
