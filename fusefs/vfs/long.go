package vfs

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"objvol/objstore"
)

// longDirs are the directories of which the bucket has names in overflow form, by the
// prefix of their keys. They are few: to ask for all of them from time to time is
// cheaper than a second listing of every directory.
type longDirs struct {
	asking singleflight.Group
	answer atomic.Pointer[longAnswer]
}

// longAnswer is what was found when it was asked. It is immutable.
type longAnswer struct {
	asked    time.Time
	prefixes map[string]bool
}

// longShare is the part of the volume's ttl for which the answer is used. A directory's
// listing counts as so old as the answer that it went by.
const longShare = 4

// listLong enters the names of the directory whose keys are in overflow form.
func (s *scan) listLong(ctx context.Context) error {
	prefix := s.folder.LongPrefix()
	known, err := s.fs.longDirs(ctx)
	if err != nil {
		return err
	}
	if !known.prefixes[prefix] {
		if known.asked.Before(s.asOf) {
			s.asOf = known.asked
		}
		return nil
	}
	return s.pages(ctx, objstore.ListOptions{Prefix: prefix})
}

// longDirs returns the directories that have names in overflow form, as of not long ago.
func (fs *FS) longDirs(ctx context.Context) (*longAnswer, error) {
	if known := fs.long.answer.Load(); known != nil && time.Since(known.asked) < fs.TTL/longShare {
		return known, nil
	}
	answer, err, _ := fs.long.asking.Do("", func() (any, error) {
		known := &longAnswer{time.Now(), make(map[string]bool)}
		opts := objstore.ListOptions{Prefix: fs.Layout.Records().LongPrefix(), Delimiter: "/"}
		for {
			page, err := fs.Bucket.List(ctx, opts)
			if err != nil {
				return known, err
			}
			for _, p := range page.Prefixes {
				known.prefixes[p] = true
			}
			if opts.Token = page.Next; opts.Token == "" {
				fs.long.answer.Store(known)
				return known, nil
			}
		}
	})
	return answer.(*longAnswer), err
}
