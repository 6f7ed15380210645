package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// watchPause is the time between two looks at a name: short enough for what is measured, and
// long enough to take little from who is watched.
const watchPause = 10 * time.Millisecond

// awaitBucket returns how long it took, from a time on, until a plain client listed in the
// bucket exactly what want has: no name more or less, and the sizes. was is what it had
// before.
//
// A listing of thousands takes as much of the store as writing dozens of them. So it is
// listed when the last and the first name that were not as they should be are so, and then
// from the first on. What has been seen is confirmed by a whole listing, whose time does not
// count.
func awaitBucket(ctx context.Context, c client, prefix string, was, want manifest, markers bool, from time.Time, limit time.Duration) (time.Duration, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	got := maps.Clone(was)
	left := want.differences(got, markers)
	for {
		first, err := "", error(nil) // none, and all is listed
		if len(left) > 0 {
			first = left[0]
			if err = c.awaitName(limited, prefix, left[len(left)-1], want); err == nil {
				err = c.awaitName(limited, prefix, first, want)
			}
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case limited.Err() != nil:
			return 0, fmt.Errorf("%w, over %v: %d names in the bucket were not as they should be\n%s",
				errSlow, limit, len(left), strings.Join(left[:min(len(left), 100)], "\n"))
		case err != nil:
			return 0, err
		}
		end, err := c.manifest(ctx, prefix, before(prefix, first))
		if err != nil {
			return 0, err
		}
		listed := time.Now()
		maps.DeleteFunc(got, func(name string, _ int64) bool { return name >= first })
		maps.Copy(got, end)
		if left = want.differences(got, markers); len(left) > 0 {
			continue
		}
		if got, err = c.manifest(ctx, prefix, ""); err != nil {
			return 0, err
		}
		if left = want.differences(got, markers); len(left) == 0 {
			return listed.Sub(from), nil
		}
	}
}

// awaitName waits until a name below a prefix is as want has it.
func (c client) awaitName(ctx context.Context, prefix, name string, want manifest) error {
	for {
		size, wanted := want[name]
		o, err := c.core.StatObject(ctx, c.bucket, prefix+name, minio.StatObjectOptions{})
		there := err == nil
		if !there && minio.ToErrorResponse(err).StatusCode != http.StatusNotFound {
			return err
		}
		if there == wanted && o.Size == size {
			return nil
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// before is a key that a listing can begin after to have a name in it, and not much more.
func before(prefix, name string) string {
	if name == "" {
		return ""
	}
	last := len(name) - 1
	return prefix + name[:last] + string([]byte{name[last] - 1}) + "~"
}
