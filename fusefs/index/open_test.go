package index

import (
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

func TestReopening(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := x.ID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("identity %q", id)
	}
	var first, second Ino
	update(t, x, func(tx *Tx) error {
		first, second = tx.NewIno(), tx.NewIno()
		return tx.PutMeta("m", []byte("kept"))
	})
	if first != 2 || second != 3 {
		t.Errorf("the first inodes are %d and %d", first, second)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("an index was opened twice")
	}
	if err := errors.Join(x.Close(), x.Close()); err != nil {
		t.Fatal(err)
	}
	if err := x.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("update of a closed index: %v", err)
	}

	x, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	if x.ID() != id {
		t.Errorf("the identity changed from %s to %s", id, x.ID())
	}
	if m, err := x.Meta("m"); err != nil || string(m) != "kept" {
		t.Errorf("got %q, %v", m, err)
	}
	update(t, x, func(tx *Tx) error {
		if n := tx.NewIno(); n <= second {
			t.Errorf("inode %d was given twice", n)
		}
		return nil
	})
	other := openTest(t)
	if other.ID() == id {
		t.Error("two indexes have one identity")
	}
}

func TestNumbersAreNeverGivenTwice(t *testing.T) {
	x := openTest(t)
	last := Ino(0)
	take := func(n int) func(tx *Tx) error {
		return func(tx *Tx) error {
			for range n {
				ino := tx.NewIno()
				if ino <= last {
					t.Fatalf("%d after %d", ino, last)
				}
				last = ino
			}
			return errors.New("discarded") // numbers are used up even so
		}
	}
	for _, n := range []int{1, 1, numberBlock, 1} { // over the end of a block
		_ = x.Update(take(n))
	}
	if reserved, err := load(x.reader, numbersKey, decodeNumber); err != nil || reserved <= uint64(last) {
		t.Fatalf("%d is given, %d is reserved, error %v", last, reserved, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.db.Set(schemaKey, binary.AppendUvarint(nil, schema+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal leaves nothing open
		_, err = Open(dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "schema is 3, this program knows 2") {
			t.Fatalf("got %v", err)
		}
	}
}

// From format 20 on, a power cut can leave an index that does not open (hard-cases 3).
func TestFormatIsPinned(t *testing.T) {
	x := openTest(t)
	if v := x.db.FormatMajorVersion(); v > 19 {
		t.Fatalf("the format is %d, above 19", v)
	}
}

func TestSharedCache(t *testing.T) {
	cache := NewCache(1 << 20)
	for range 3 {
		x, err := Open(t.TempDir(), Options{Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}()
		update(t, x, func(tx *Tx) error { return tx.PutMeta("m", []byte(x.ID())) })
		if err := x.db.Flush(); err != nil { // so that reading goes through the cache
			t.Fatal(err)
		}
		if m, err := x.Meta("m"); err != nil || string(m) != x.ID() {
			t.Fatalf("got %q, %v", m, err)
		}
	}
	cache.Close() // the indexes hold on to it
}

// Writers of one index wait for each other; readers see whole transactions.
func TestParallelUse(t *testing.T) {
	x := openTest(t)
	update(t, x, func(tx *Tx) error { return tx.PutInode(Inode{Ino: Root, Nlink: 1}) })
	const writers, each = 4, 50
	done := make(chan error)
	for range writers {
		go func() {
			for range each {
				err := x.Update(func(tx *Tx) error {
					n, err := tx.Inode(Root)
					if err != nil {
						return err
					}
					n.Gen++
					n.Mtime = time.Unix(int64(n.Gen), 0)
					return tx.PutInode(n)
				})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for left := writers; left > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			left--
		default:
			if n, err := x.Inode(Root); err != nil || (n.Gen > 0 && n.Mtime.Unix() != int64(n.Gen)) {
				t.Fatalf("torn: %+v, %v", n, err)
			}
		}
	}
	if n, err := x.Inode(Root); err != nil || n.Gen != writers*each {
		t.Fatalf("%d of %d transactions count, error %v", n.Gen, writers*each, err)
	}
}
