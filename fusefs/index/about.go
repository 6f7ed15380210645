package index

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// schema is the version of the meaning of all records together. It rises when a program
// that does not know the change would spoil an index. From 2 on directories have a count of
// the directories in them.
const schema = 2

// firstNumber is the first inode number that is given out: 1 is the root's.
const firstNumber = 2

var (
	schemaKey  = textKey(tagAbout, "schema")
	idKey      = textKey(tagAbout, "id")
	numbersKey = textKey(tagAbout, "numbers")
)

// ID is the identity of this state, a UUID made with it: an index that was deleted and made
// anew has another. It marks what this state writes to the bucket.
func (x *Index) ID() string { return x.id }

// begin reads what the index says of itself, or says it if the index is new.
func (x *Index) begin() error {
	version, err := load(x.reader, schemaKey, decodeNumber)
	if errors.Is(err, ErrNotFound) {
		return x.create()
	}
	if err != nil {
		return err
	}
	if version > schema {
		return fmt.Errorf("its schema is %d, this program knows %d: a newer one is needed", version, schema)
	}
	if x.id, err = load(x.reader, idKey, func(b []byte) (string, error) { return string(b), nil }); err != nil {
		return err
	}
	x.next, err = load(x.reader, numbersKey, decodeNumber)
	x.limit = x.next
	if err == nil && version < schema {
		err = x.countSubdirs()
	}
	return err
}

func (x *Index) create() error {
	x.id, x.next, x.limit = newUUID(), firstNumber, firstNumber
	batch := x.db.NewBatch()
	err := errors.Join(
		batch.Set(schemaKey, binary.AppendUvarint(nil, schema), nil),
		batch.Set(idKey, []byte(x.id), nil),
		batch.Set(numbersKey, binary.AppendUvarint(nil, firstNumber), nil))
	if err != nil {
		return err
	}
	if err := x.commit(batch); err != nil {
		return err
	}
	return x.Sync()
}

func decodeNumber(b []byte) (uint64, error) {
	d := decoder{b: b}
	n := d.uvarint()
	return n, d.done()
}

// newUUID makes a random UUID (version 4).
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // it never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
