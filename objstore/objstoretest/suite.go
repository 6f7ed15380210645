package objstoretest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"objvol/objstore"
)

// Run checks that what open returns keeps the contract of objstore and has exactly the
// capabilities declared. Open is called once; the bucket need not be empty, because
// every test keeps to a prefix of its own, and what a test leaves there stays.
func Run(t *testing.T, open func(t *testing.T) objstore.Bucket, declared objstore.Capabilities) {
	t.Helper()
	b := open(t)
	if have := b.Capabilities(); have != declared {
		t.Errorf("Capabilities() = %+v, declared are %+v", have, declared)
	}
	run := rand.Text()
	for _, c := range []struct {
		name string
		test func(s suite)
	}{
		{"object", suite.object},
		{"missing", suite.missing},
		{"empty object", suite.emptyObject},
		{"marker", suite.marker},
		{"attributes", suite.attributes},
		{"limits", suite.limits},
		{"special keys", suite.specialKeys},
		{"ranges", suite.ranges},
		{"get condition", suite.getCondition},
		{"put condition", suite.putCondition},
		{"parallel creates", suite.parallelCreates},
		{"parallel replaces", suite.parallelReplaces},
		{"refused creates", suite.refusedCreates},
		{"delete condition", suite.deleteCondition},
		{"parallel deletes", suite.parallelDeletes},
		{"delete many", suite.deleteMany},
		{"delete many keys", suite.deleteManyKeys},
		{"delete many full", suite.deleteManyFull},
		{"set attributes", suite.setAttributes},
		{"set attributes race", suite.setAttributesRace},
		{"list", suite.list},
		{"list pages", suite.listPages},
		{"list after", suite.listAfter},
		{"list attributes", suite.listAttributes},
		{"multipart", suite.multipart},
		{"multipart single part", suite.multipartSingle},
		{"multipart empty", suite.multipartEmpty},
		{"multipart abort", suite.multipartAbort},
		{"complete condition", suite.completeCondition},
		{"copy part", suite.copyPart},
		{"change part", suite.changePart},
		{"copy part source", suite.copyPartSource},
		{"self-copy", suite.selfCopy},
		{"broken body", suite.brokenBody},
		{"cancelled", suite.cancelled},
		{"cancelled body", suite.cancelledBody},
		{"file and directory", suite.fileAndDirectory},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(suite{T: t, b: b, prefix: "objstoretest-" + run + "/" + slug(c.name) + "/"})
		})
	}
}

// suite is what one test of the contract works with.
type suite struct {
	*testing.T
	b      objstore.Bucket
	prefix string // of the keys of this test
}

// slug makes a test's name a part of a key.
func slug(name string) string {
	return strings.ReplaceAll(name, " ", "-")
}

// put writes an object that must succeed.
func (s suite) put(key, content string) objstore.Object {
	s.Helper()
	object, err := s.b.Put(s.Context(), key, objstore.Bytes(content), objstore.PutOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return object
}

// head returns the attributes of an object that must exist.
func (s suite) head(key string) objstore.Object {
	s.Helper()
	object, err := s.b.Head(s.Context(), key)
	if err != nil {
		s.Fatal(err)
	}
	return object
}

// get reads a range that must be readable.
func (s suite) get(key string, opts objstore.GetOptions) (string, objstore.Object) {
	s.Helper()
	content, object, err := read(s.Context(), s.b, key, opts)
	if err != nil {
		s.Fatal(err)
	}
	return content, object
}

// holds checks the bytes of an object.
func (s suite) holds(key, content string) {
	s.Helper()
	if have, _ := s.get(key, objstore.GetOptions{}); have != content {
		s.Errorf("%s holds %s instead of %s", short(key), short(have), short(content))
	}
}

// absent checks that there is no object.
func (s suite) absent(key string) {
	s.Helper()
	_, err := s.b.Head(s.Context(), key)
	s.fails(err, objstore.ErrNotFound, objstore.OpHead, key)
}

// fails checks that err is of this kind and names the request, once.
func (s suite) fails(err, kind error, op, key string) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("%s %s: error is %v instead of %v", op, short(key), err, kind)
		return
	}
	s.named(err, op, key)
}

// named checks that err names the request, once.
func (s suite) named(err error, op, key string) {
	s.Helper()
	outer, ok := errors.AsType[*objstore.OpError](err)
	if !ok {
		s.Errorf("%s %s: %v is not an OpError", op, short(key), err)
		return
	}
	if outer.Op != op || outer.Key != key {
		s.Errorf("OpError of %s %s instead of %s %s", outer.Op, short(outer.Key), op, short(key))
	}
	if _, twice := errors.AsType[*objstore.OpError](outer.Err); twice {
		s.Errorf("%v names its request twice", err)
	}
}

// read returns a whole body.
func read(ctx context.Context, b objstore.Bucket, key string, opts objstore.GetOptions) (content string, object objstore.Object, err error) {
	r, object, err := b.Get(ctx, key, opts)
	if err != nil {
		return "", objstore.Object{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err := io.ReadAll(r)
	return string(data), object, err
}

// short keeps messages readable.
func short(content string) string {
	if len(content) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", content[:20], len(content))
	}
	return fmt.Sprintf("%q", content)
}

// pattern returns bytes that differ from place to place, so that misplaced ranges show.
func pattern(n int) string {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i>>12 + i*7 + 1)
	}
	return string(data)
}
