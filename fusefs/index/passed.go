package index

import (
	"encoding/binary"
	"time"
)

// Passed says of a content file that the kernel was given it, to read and write it without
// asking. Programs may have it open or mapped since, also after the process that gave it.
type Passed struct {
	// File is the generation of the content file; the record says nothing of another one.
	File uint64
	// Open: it may be changed by others than us. It is committed before it can be, and is
	// false again when nobody is left who could.
	Open bool
	// Followed is the modification time of the content file that the inode's time follows
	// already, whatever was set since; zero for none. It is kept while Open is set.
	Followed time.Time
}

const (
	passedVersion = 1
	flagOpen      = 1
	flagFollowed  = 2
)

func appendPassed(b []byte, p Passed) []byte {
	var flags byte
	if p.Open {
		flags |= flagOpen
	}
	followed := p.Open && !p.Followed.IsZero()
	if followed {
		flags |= flagFollowed
	}
	b = binary.AppendUvarint(append(b, passedVersion, flags), p.File)
	if followed {
		b = appendTime(b, p.Followed)
	}
	return b
}

func decodePassed(b []byte) (Passed, error) {
	d := decode(b, passedVersion)
	flags := d.byte()
	p := Passed{Open: flags&flagOpen != 0, File: d.uvarint()}
	if flags&flagFollowed != 0 {
		p.Followed = d.time()
	}
	return p, d.done()
}

// Passed returns what is recorded of an inode's content file, ErrNotFound if nothing.
func (r reader) Passed(ino Ino) (Passed, error) {
	return load(r, inoKey(tagPassed, ino), decodePassed)
}

// AllPassed walks the records of content files that the kernel was given, by inode.
func (r reader) AllPassed(fn func(Ino, Passed) bool) error {
	return r.walk([]byte{tagPassed}, []byte{tagPassed + 1}, func(key, value []byte) (bool, error) {
		p, err := decodePassed(value)
		return err == nil && fn(inoAt(key, 1), p), err
	})
}

// PutPassed records that the kernel is given an inode's content file.
func (tx *Tx) PutPassed(ino Ino, p Passed) error {
	return tx.put(inoKey(tagPassed, ino), appendPassed(nil, p))
}

// DropPassed forgets it: the content file is gone, or nobody can have it.
func (tx *Tx) DropPassed(ino Ino) error { return tx.drop(inoKey(tagPassed, ino)) }
