package objstoretest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"objvol/objstore"
)

// otherETag is one that no object of the suite has.
const otherETag = "0123456789abcdef0123456789abcdef"

// absence is the condition of a create, where the store knows it.
func (s suite) absence() objstore.Condition {
	return objstore.Condition{IfAbsent: s.b.Capabilities().ConditionalPut}
}

func (s suite) getCondition() {
	key := s.prefix + "a"
	first := s.put(key, "first")
	if content, _ := s.get(key, objstore.GetOptions{IfMatch: first.ETag, Offset: 1, Length: 2}); content != "ir" {
		s.Errorf("range is %q", content)
	}
	s.put(key, "second")
	for _, opts := range []objstore.GetOptions{{IfMatch: first.ETag}, {IfMatch: first.ETag, Offset: 1, Length: 2}} {
		_, _, err := read(s.Context(), s.b, key, opts)
		s.fails(err, objstore.ErrPreconditionFailed, objstore.OpGet, key)
	}
}

func (s suite) putCondition() {
	if !s.b.Capabilities().ConditionalPut {
		return
	}
	key := s.prefix + "a"
	write := func(content string, cond objstore.Condition) (objstore.Object, error) {
		attrs := objstore.Attributes{Metadata: map[string]string{"content": content}}
		return s.b.Put(s.Context(), key, objstore.Bytes(content), objstore.PutOptions{Attributes: attrs, Condition: cond})
	}
	refused := func(cond objstore.Condition) {
		s.Helper()
		_, err := write("refused", cond)
		s.fails(err, objstore.ErrPreconditionFailed, objstore.OpPut, key)
	}

	refused(objstore.Condition{IfMatch: otherETag})
	s.absent(key)

	first, err := write("first", objstore.Condition{IfAbsent: true})
	if err != nil {
		s.Fatal(err)
	}
	head := s.head(key)
	refused(objstore.Condition{IfAbsent: true})
	refused(objstore.Condition{IfMatch: otherETag})
	s.holds(key, "first")
	if now := s.head(key); !same(now, head) {
		s.Errorf("a refused put changed %+v to %+v", head, now)
	}

	second, err := write("second", objstore.Condition{IfMatch: first.ETag})
	if err != nil {
		s.Fatal(err)
	}
	refused(objstore.Condition{IfMatch: first.ETag})
	s.holds(key, "second")

	if err := s.b.Delete(s.Context(), key, objstore.Condition{}); err != nil {
		s.Fatal(err)
	}
	refused(objstore.Condition{IfMatch: second.ETag})
	s.absent(key)
	if _, err := write("third", objstore.Condition{IfAbsent: true}); err != nil {
		s.Errorf("create after a delete: %v", err)
	}
}

// parallel calls f n times at once and returns the errors by number.
func parallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winner checks that one call succeeded and the others lost against it.
func (s suite) winner(errs []error, op, key string) int {
	s.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			s.fails(err, objstore.ErrPreconditionFailed, op, key)
		case winner >= 0:
			s.Errorf("%s: two of %d conditional requests succeeded", op, len(errs))
		default:
			winner = i
		}
	}
	if winner < 0 {
		s.Fatalf("%s: none of %d conditional requests succeeded", op, len(errs))
	}
	return winner
}

// parallelCreates checks that one of several creates wins, and that its content stays.
func (s suite) parallelCreates() {
	if !s.b.Capabilities().ConditionalPut {
		return
	}
	for round := range 3 {
		key := fmt.Sprintf("%s%d", s.prefix, round)
		winner := s.winner(parallel(16, func(i int) error {
			_, err := s.b.Put(s.Context(), key, objstore.Bytes(fmt.Sprint(i)), objstore.PutOptions{Condition: objstore.Condition{IfAbsent: true}})
			return err
		}), objstore.OpPut, key)
		s.holds(key, fmt.Sprint(winner))
	}
}

// parallelReplaces does the same with If-Match.
func (s suite) parallelReplaces() {
	if !s.b.Capabilities().ConditionalPut {
		return
	}
	key := s.prefix + "a"
	old := s.put(key, "old")
	winner := s.winner(parallel(16, func(i int) error {
		_, err := s.b.Put(s.Context(), key, objstore.Bytes(fmt.Sprint(i)), objstore.PutOptions{Condition: objstore.Condition{IfMatch: old.ETag}})
		return err
	}), objstore.OpPut, key)
	s.holds(key, fmt.Sprint(winner))
}

// refusedCreates sends many bodies that the store refuses without reading them. A
// connection that then still carries the rest of a body must not serve another request.
func (s suite) refusedCreates() {
	if !s.b.Capabilities().ConditionalPut {
		return
	}
	key := s.prefix + "a"
	s.put(key, "first")
	body := objstore.Bytes(strings.Repeat("GET / HTTP/1.1\r\n\r\n", 2048))
	for _, err := range parallel(1000, func(int) error {
		_, err := s.b.Put(s.Context(), key, body, objstore.PutOptions{Condition: objstore.Condition{IfAbsent: true}})
		return err
	}) {
		s.fails(err, objstore.ErrPreconditionFailed, objstore.OpPut, key)
		if s.Failed() {
			break // one of a thousand tells enough
		}
	}
	s.holds(key, "first")
	for i, err := range parallel(32, func(i int) error {
		key, content := fmt.Sprintf("%safter-%d", s.prefix, i), fmt.Sprint("content ", i)
		if _, err := s.b.Put(s.Context(), key, objstore.Bytes(content), objstore.PutOptions{}); err != nil {
			return err
		}
		have, _, err := read(s.Context(), s.b, key, objstore.GetOptions{})
		if err == nil && have != content {
			err = fmt.Errorf("holds %q", have)
		}
		return err
	}) {
		if err != nil {
			s.Errorf("object %d after the refused ones: %v", i, err)
		}
	}
}

func (s suite) deleteCondition() {
	key := s.prefix + "a"
	refused := func(etag string, kind error) {
		s.Helper()
		s.fails(s.b.Delete(s.Context(), key, objstore.Condition{IfMatch: etag}), kind, objstore.OpDelete, key)
	}
	refused(otherETag, objstore.ErrNotFound)

	first := s.put(key, "first")
	refused(otherETag, objstore.ErrPreconditionFailed)
	s.holds(key, "first")

	second := s.put(key, "second")
	refused(first.ETag, objstore.ErrPreconditionFailed)
	s.holds(key, "second")

	if err := s.b.Delete(s.Context(), key, objstore.Condition{IfMatch: second.ETag}); err != nil {
		s.Error(err)
	}
	s.absent(key)
	refused(second.ETag, objstore.ErrNotFound)
}

// parallelDeletes checks that the store itself compares: of several deletes that know
// the ETag, one finds the object.
func (s suite) parallelDeletes() {
	if !s.b.Capabilities().ConditionalDelete {
		return
	}
	key := s.prefix + "a"
	object := s.put(key, "x")
	deleted := 0
	for _, err := range parallel(16, func(int) error {
		return s.b.Delete(s.Context(), key, objstore.Condition{IfMatch: object.ETag})
	}) {
		switch {
		case err == nil:
			deleted++
		case !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, objstore.ErrPreconditionFailed):
			s.Error(err)
		}
	}
	if deleted != 1 {
		s.Errorf("%d of 16 conditional deletes succeeded", deleted)
	}
	s.absent(key)
}
