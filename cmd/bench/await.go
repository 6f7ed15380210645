package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// The pause between two listings: long enough to take little from who is watched, and short
// enough for what is measured, also where the store answers slowly because it is busy.
const (
	watchLeast = 5 * time.Millisecond
	watchMost  = 200 * time.Millisecond
)

// awaitBucket returns how long it took, from a time on, until a plain client listed in the
// bucket exactly what want has: no name more or less, and the sizes. Only the end of the
// listing is asked for again, from the first name that was not as it should be. What has
// then been seen is confirmed by a whole listing, whose time does not count.
func awaitBucket(ctx context.Context, c client, prefix string, want manifest, markers bool, from time.Time, limit time.Duration) (time.Duration, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var (
		got   = manifest{}
		first string // the first name that differs; none, and all is listed
	)
	for {
		asked := time.Now()
		end, err := c.manifest(ctx, prefix, before(prefix, first))
		if err != nil {
			return 0, err
		}
		listed := time.Now()
		maps.DeleteFunc(got, func(name string, _ int64) bool { return name >= first })
		maps.Copy(got, end)
		left := want.differences(got, markers)
		if len(left) == 0 {
			whole, err := c.manifest(ctx, prefix, "")
			if err != nil {
				return 0, err
			}
			if left = want.differences(whole, markers); len(left) == 0 {
				return listed.Sub(from), nil
			}
			got = whole
		}
		first = left[0]
		select {
		case <-time.After(min(max(watchLeast, 3*listed.Sub(asked)), watchMost)):
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
			return 0, fmt.Errorf("%w, over %v: %d names in the bucket are not as they should be\n%s",
				errSlow, limit, len(left), strings.Join(left[:min(len(left), 100)], "\n"))
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
