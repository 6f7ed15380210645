package writeback

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"objvol/fusefs/index"
)

// announce records that a write is about to be sent, so that it is recognised even if
// its answer is lost.
func (w *Writeback) announce(tx *index.Tx, j *job) error {
	s := j.Step
	n, err := tx.Inode(s.Ino)
	if err != nil {
		return err
	}
	k, ok, err := tx.Key(s.Key)
	if err != nil {
		return err
	}
	if !ok {
		k = index.Key{Key: s.Key, Gone: true}
	}
	j.nonce = newNonce(n.AttrGen)
	if j.late {
		j.nonce += lateMark
	}
	if j.stream = w.claimStream(n, s); j.stream != nil {
		j.nonce = j.stream.nonce
	}
	k.Request = addNonce(k.Request, j.nonce)
	if n.Sending != s.Key {
		if err := w.forget(tx, n.Sending); err != nil {
			return err
		}
	}
	n.Sending = s.Key
	if k.At, err = PlaceOf(tx, w.Layout, s.Key, n.Ino); err != nil {
		return err
	}
	w.resolved.Delete(s.Key)
	return errors.Join(tx.PutKey(k), tx.PutInode(n))
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
		return keep(tx, n)
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
