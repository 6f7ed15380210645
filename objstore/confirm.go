package objstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// headsAtOnce is how many keys Confirm looks at at once that a listing did not show.
const headsAtOnce = 16

// Confirm compares the ETags of a batch with the bucket, for a DeleteMany of a store that
// does not compare them itself (hard-cases 7). One listing shows the keys of a directory;
// one that it does not show is looked at by itself. The answer has an entry for each of
// the batch: nil, or why it cannot be removed, an OpError of OpDeleteMany. The batch may
// be in any order.
func Confirm(ctx context.Context, b Bucket, batch []Doomed) []error {
	errs := make([]error, len(batch))
	order := make([]int, 0, len(batch)) // of those with a condition, by key
	for i, d := range batch {
		if d.IfMatch != "" {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(batch[x].Key, batch[y].Key) })
	var unseen []int
	for len(order) > 1 {
		shown, last, err := listed(ctx, b, batch[order[0]].Key, batch[order[len(order)-1]].Key, len(order))
		if err != nil {
			for _, i := range order {
				errs[i] = &OpError{Op: OpDeleteMany, Key: batch[i].Key, Err: cause(err)}
			}
			return errs
		}
		// What lies behind the page is for the next one. A page that reaches none ends it:
		// too much that is not in the batch lies between.
		passed := 0
		for passed < len(order) && (last == "" || batch[order[passed]].Key <= last) {
			i := order[passed]
			if etag, ok := shown[batch[i].Key]; !ok {
				unseen = append(unseen, i)
			} else if etag != batch[i].IfMatch {
				errs[i] = &OpError{Op: OpDeleteMany, Key: batch[i].Key, Err: ErrPreconditionFailed}
			}
			passed++
		}
		if passed == 0 {
			break
		}
		order = order[passed:]
	}
	unseen = append(unseen, order...)
	looks := make(chan struct{}, headsAtOnce)
	var wg sync.WaitGroup
	for _, i := range unseen {
		looks <- struct{}{}
		wg.Go(func() {
			defer func() { <-looks }()
			object, err := b.Head(ctx, batch[i].Key)
			if err == nil && object.ETag != batch[i].IfMatch {
				err = ErrPreconditionFailed
			}
			if err != nil {
				errs[i] = &OpError{Op: OpDeleteMany, Key: batch[i].Key, Err: cause(err)}
			}
		})
	}
	wg.Wait()
	return errs
}

// listSlack is how many more keys than are wanted a page of Confirm may hold: directories'
// markers, and the neighbours that come before the first.
const listSlack = 16

// listed returns the ETags of one page of keys that begins at or before first, and the
// last key that it speaks of; empty if that is all up to the key last.
func listed(ctx context.Context, b Bucket, first, last string, wanted int) (etags map[string]string, upTo string, err error) {
	same := 0
	for same < len(first) && same < len(last) && first[same] == last[same] {
		same++
	}
	dir := first[:strings.LastIndexByte(first[:same], '/')+1]
	page, err := b.List(ctx, ListOptions{Prefix: dir, After: before(first, dir), Max: min(MaxDeletes, wanted+listSlack), Bare: true})
	if err != nil {
		return nil, "", err
	}
	etags = make(map[string]string, len(page.Objects))
	for _, o := range page.Objects {
		etags[o.Key] = o.ETag
	}
	if page.Next != "" && len(page.Objects) > 0 {
		upTo = page.Objects[len(page.Objects)-1].Key
	}
	return etags, upTo, nil
}

// before returns what a listing of a prefix that is to begin with a key goes on after: a
// little less than the key, empty for the beginning. It is never a directory's marker,
// at which MinIO ends a listing too early.
func before(key, prefix string) string {
	_, size := utf8.DecodeLastRuneInString(key)
	stem := key[:len(key)-size]
	if len(stem) <= len(prefix) {
		return ""
	}
	if less, ok := strings.CutSuffix(stem, "/"); ok {
		return less + "." // the character before
	}
	return stem
}

// allFailed is the answer of a DeleteMany that failed as a whole.
func allFailed(batch []Doomed, err error) []error {
	errs := make([]error, len(batch))
	for i, d := range batch {
		errs[i] = &OpError{Op: OpDeleteMany, Key: d.Key, Err: err}
	}
	return errs
}

// firstKey names a batch in messages.
func firstKey(batch []Doomed) string {
	if len(batch) == 0 {
		return ""
	}
	return batch[0].Key
}
