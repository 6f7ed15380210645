package writeback

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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

// announce records that a write is about to be sent, so that it is recognised even if
// its answer is lost.
func (w *Writeback) announce(tx *index.Tx, s Step) (string, error) {
	n, err := tx.Inode(s.Ino)
	if err != nil {
		return "", err
	}
	k, ok, err := tx.Key(s.Key)
	if err != nil {
		return "", err
	}
	if !ok {
		k = index.Key{Key: s.Key, Gone: true}
	}
	nonce := newNonce(n.AttrGen)
	k.Request = addNonce(k.Request, nonce)
	if n.Sending != s.Key {
		if err := w.forget(tx, n.Sending); err != nil {
			return "", err
		}
	}
	n.Sending = s.Key
	w.resolved.Delete(s.Key)
	return nonce, errors.Join(tx.PutKey(k), tx.PutInode(n))
}

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

// newNonce names a write. It carries the generation of the attributes that it sends.
func newNonce(attrGen uint64) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return strconv.FormatUint(attrGen, 10) + "-" + hex.EncodeToString(b[:])
}

// attrGenOf is the inverse of newNonce.
func attrGenOf(nonce string) uint64 {
	text, _, _ := strings.Cut(nonce, "-")
	gen, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return gen
}

// maxNonces is how many unfinished writes of one key are remembered: older ones have
// long been refused by their condition.
const maxNonces = 8

func addNonce(list, nonce string) string {
	if list == "" {
		return nonce
	}
	all := append(strings.Split(list, ","), nonce)
	return strings.Join(all[max(0, len(all)-maxNonces):], ",")
}

func hasNonce(list, nonce string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if nonce != "" && one == nonce {
			return true
		}
	}
	return false
}

// put writes an inode's content and attributes in one go.
func (w *Writeback) put(j *job) error {
	ctx, cancel := context.WithTimeout(w.ctx, requestTime)
	defer cancel()
	n, err := w.Index.Inode(j.Ino)
	if err != nil {
		return w.undo(j, err)
	}
	if half, err := w.halfKnown(n); err != nil {
		return w.undo(j, err)
	} else if half {
		return w.ask(ctx, j, n)
	}
	body, err := w.body(ctx, n, j.task)
	if err != nil {
		if err = w.undo(j, err); n.Placed == "" {
			return err
		}
		// Bytes that only its object has may be gone with it (hard-cases 22).
		return w.lookInto(n.Placed, err)
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
		obj, err = w.Bucket.Put(ctx, j.Key, whole{body, &sent}, objstore.PutOptions{Attributes: attrs, Condition: j.Cond})
		if err != nil && sent.held.Load() {
			if err = errChanged; sent.times.Load() == 1 {
				// No store makes an object of a body without its end; of an earlier
				// attempt it may have.
				err = &unsentError{err}
			}
		}
	} else {
		obj, err = w.putParts(ctx, j, body, attrs)
	}
	if err != nil {
		return w.refused(j, err)
	}
	return w.landed(j, obj, body.Size(), body.Gen())
}

// body returns what an inode's object holds.
func (w *Writeback) body(ctx context.Context, n index.Inode, t task) (Content, error) {
	switch {
	case isRegular(n):
		// Who was disturbed once is given a copy that nobody else writes to.
		return w.Files.Open(ctx, n.Ino, w.sched.attempts(t) > 0)
	case n.Target != "":
		return fixed{strings.NewReader(n.Target), n.Gen}, nil
	default:
		return fixed{strings.NewReader(""), n.Gen}, nil
	}
}

// attributes encodes an inode's attributes with the lineage of a write.
func (w *Writeback) attributes(n index.Inode, j *job, gen uint64, newContent bool) (objstore.Attributes, error) {
	k, _, err := w.Index.Key(j.Key)
	if err != nil {
		return objstore.Attributes{}, err
	}
	foreign := k.Foreign
	if n.Placed != "" && n.Placed != j.Key {
		old, _, err := w.Index.Key(n.Placed)
		if err != nil {
			return objstore.Attributes{}, err
		}
		foreign = old.Foreign // headers move with the file
	} else if k.Owner != n.Ino {
		foreign = index.Foreign{}
	}
	attrs, err := layout.Encode(
		layout.Attr{Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev, Mtime: n.Mtime, Ctime: n.Ctime},
		layout.Lineage{State: w.Index.ID(), Ino: uint64(n.Ino), Gen: gen, Nonce: j.nonce, Key: layout.KeyHash(j.Key)},
		layout.Foreign(foreign), newContent)
	_, _, sent := layout.Decode(objstore.Object{Attributes: attrs}, n.Dir != nil, w.Defaults)
	j.foreign = index.Foreign(sent)
	return attrs, err
}

// unsentError is a failure before the request that would have written the object.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// whole is a Body that keeps its last bytes back until it is known that the content did
// not change while it was read.
type whole struct {
	Content
	sent *sending
}

// sending is what became of a body.
type sending struct {
	times atomic.Int32 // how often it was read
	held  atomic.Bool  // its end was kept back
}

// Open implements objstore.Body.
func (b whole) Open() (io.ReadCloser, error) {
	b.sent.times.Add(1)
	return io.NopCloser(&steady{r: io.NewSectionReader(b.Content, 0, b.Size()), c: b.Content, left: b.Size(), held: &b.sent.held}), nil
}

// steady reads a content and fails before its last byte if the content has changed.
type steady struct {
	r    io.Reader
	c    Content
	left int64
	held *atomic.Bool
}

func (s *steady) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	if s.left <= 0 && s.c.Changed() {
		s.held.Store(true)
		return 0, errChanged
	}
	return n, err
}

// fixed is the Content of what is no regular file.
type fixed struct {
	*strings.Reader
	gen uint64
}

func (f fixed) Gen() uint64   { return f.gen }
func (f fixed) Changed() bool { return false }
func (f fixed) Close() error  { return nil }

// putParts writes a large content in parts.
func (w *Writeback) putParts(ctx context.Context, j *job, c Content, attrs objstore.Attributes) (objstore.Object, error) {
	return w.upload(ctx, j, attrs, func(ctx context.Context, id string) ([]objstore.Part, error) {
		size := sizeOfParts(c.Size())
		parts := make([]objstore.Part, (c.Size()+size-1)/size)
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(partsAtOnce)
		for i := range parts {
			g.Go(func() error {
				if c.Changed() {
					return errChanged
				}
				at := int64(i) * size
				body := objstore.Section{R: c, Offset: at, Length: min(size, c.Size()-at)}
				part, err := w.Bucket.UploadPart(ctx, j.Key, id, i+1, body)
				parts[i] = part
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		if c.Changed() {
			return nil, errChanged
		}
		return parts, nil
	})
}

// sizeOfParts returns the size, in bytes, of the parts of an object.
func sizeOfParts(total int64) int64 {
	return max(partSize, (total+objstore.MaxParts-1)/objstore.MaxParts)
}

// upload creates an object by a multipart upload, whose condition is checked when it is
// completed.
func (w *Writeback) upload(ctx context.Context, j *job, attrs objstore.Attributes, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	id, err := w.Bucket.CreateUpload(ctx, j.Key, attrs)
	if err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	obj, err := w.complete(ctx, j, id, send)
	if err != nil {
		// A context that ended must not keep the parts in the bucket.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if abortErr := w.Bucket.AbortUpload(clean, j.Key, id); abortErr != nil {
			w.Log.Warn("an unfinished upload is left in the bucket", "key", j.Key, "upload", id, "error", abortErr)
		}
	}
	return obj, err
}

func (w *Writeback) complete(ctx context.Context, j *job, id string, send func(context.Context, string) ([]objstore.Part, error)) (objstore.Object, error) {
	parts, err := send(ctx, id)
	if err != nil {
		return objstore.Object{}, &unsentError{err}
	}
	return w.Bucket.CompleteUpload(ctx, j.Key, id, parts, j.Cond)
}

// landed records that a write is in the bucket.
func (w *Writeback) landed(j *job, obj objstore.Object, size int64, gen uint64) error {
	var after func()
	err := w.Index.Update(func(tx *index.Tx) error {
		var err error
		after, err = w.place(tx, placement{
			ino: j.Ino, key: j.Key, etag: obj.ETag, modified: obj.LastModified,
			size: size, gen: gen, attrGen: attrGenOf(j.nonce), foreign: j.foreign,
		})
		j.free(w)
		return err
	})
	if err != nil {
		return err
	}
	after()
	return nil
}

// placement is what the bucket was found, or made, to hold of an inode.
type placement struct {
	ino      index.Ino
	key      string
	etag     string
	modified time.Time
	size     int64
	gen      uint64
	attrGen  uint64
	foreign  index.Foreign
}

// place records a placement: the key's new state, the inode's, and that its former key
// is nobody's. What it returns is called after the commit.
func (w *Writeback) place(tx *index.Tx, p placement) (after func(), err error) {
	k, _, err := tx.Key(p.key)
	if err != nil {
		return nil, err
	}
	if k.Owner != p.ino {
		if err := evicted(tx, k); err != nil {
			return nil, err
		}
	}
	k = index.Key{Key: p.key, ETag: p.etag, LastModified: p.modified, Size: p.size, Foreign: p.foreign}
	n, err := tx.Inode(p.ino)
	if errors.Is(err, index.ErrNotFound) {
		// Unlinked and forgotten meanwhile: what landed is nobody's.
		w.Doomed(p.key)
		return func() {}, errors.Join(tx.PutKey(k), tx.Doom(p.key))
	}
	if err != nil {
		return nil, err
	}
	k.Owner = p.ino
	if old := n.Placed; old != "" && old != p.key {
		if err := w.abandon(tx, old, p.ino); err != nil {
			return nil, err
		}
	}
	n.Placed, n.PlacedGen, n.PlacedAttrGen, n.Sending = p.key, p.gen, max(n.PlacedAttrGen, p.attrGen), ""
	err = errors.Join(tx.PutInode(n), tx.PutKey(k), tx.Spare(p.key))
	if n.Nlink == 0 {
		w.Doomed(p.key)
		err = errors.Join(err, tx.Doom(p.key))
	}
	if isRegular(n) && n.Gen == p.gen {
		c, cerr := tx.Content(p.ino)
		if cerr == nil && c.BaseLen != n.Size {
			c.BaseLen = n.Size
			cerr = tx.PutContent(p.ino, c)
		}
		err = errors.Join(err, cerr)
	}
	return func() { w.Files.Landed(p.ino) }, err
}

// evicted records that a key's owner, which is unlinked, has no object any more.
func evicted(tx *index.Tx, k index.Key) error {
	n, err := tx.Inode(k.Owner)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Placed != k.Key {
		return nil
	}
	if err != nil {
		return err
	}
	n.Placed = ""
	return tx.PutInode(n)
}

// abandon dooms the key that an inode has left.
func (w *Writeback) abandon(tx *index.Tx, key string, ino index.Ino) error {
	k, ok, err := tx.Key(key)
	if err != nil || !ok || k.Owner != ino {
		return err
	}
	k.Owner, k.Foreign = 0, index.Foreign{}
	w.Doomed(key)
	return errors.Join(tx.PutKey(k), tx.Doom(key))
}

// undo takes back the announcement of a write that was not sent.
func (w *Writeback) undo(j *job, cause error) error {
	err := w.Index.Update(func(tx *index.Tx) error {
		k, ok, err := tx.Key(j.Key)
		if err != nil || !ok {
			return err
		}
		k.Request = dropNonce(k.Request, j.nonce)
		if err := tx.PutKey(k); err != nil {
			return err
		}
		if k.Request == "" {
			if err := forgetGone(tx, j.Key); err != nil {
				return err
			}
		}
		n, err := tx.Inode(j.Ino)
		if errors.Is(err, index.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if k.Request == "" {
			n.Sending = ""
		} else {
			w.resolved.Store(j.Key, struct{}{}) // they were, before this one was announced
		}
		return tx.PutInode(n)
	})
	return errors.Join(cause, err)
}

func dropNonce(list, nonce string) string {
	var rest string
	for one := range strings.SplitSeq(list, ",") {
		if one != nonce && one != "" {
			rest = addNonce(rest, one)
		}
	}
	return rest
}

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
func isRegular(n index.Inode) bool { return n.Mode&0o170000 == 0o100000 }
