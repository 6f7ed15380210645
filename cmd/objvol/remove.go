package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"objvol/driver"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// deleteData deletes all of a volume's objects and then its records, the definition among
// them. It may be repeated after a failure.
func (m *mounter) deleteData(ctx context.Context, spec driver.Spec) error {
	l, err := layout.New(spec.Prefix)
	if err != nil {
		return err
	}
	if l.Prefix() == "" {
		return errors.New("its prefix is empty, so its data is everything in the bucket: delete that by other means, and remove the volume with its data kept")
	}
	remembered := capabilitiesPath(m.volumeDir(spec))
	if _, err := os.Stat(m.volumeDir(spec)); err != nil {
		remembered = "" // there never was any, or it is a repetition
	}
	b, err := m.stores.open(ctx, spec, nil, remembered)
	if err != nil {
		return err
	}
	defer b.close()
	if err := deleteBelow(ctx, b, l.Prefix()); err != nil {
		return fmt.Errorf("delete its data: %w", err)
	}
	if err := deleteBelow(ctx, b, l.Records().Prefix()); err != nil {
		return fmt.Errorf("delete its records: %w", err)
	}
	return nil
}

// deleteBelow deletes all keys that begin with a prefix, which ends in "/". Markers of
// directories go last and the deepest first: a store that keeps objects as files has them
// as folders.
func deleteBelow(ctx context.Context, b objstore.Bucket, prefix string) error {
	if !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("%q is no prefix of a volume", prefix)
	}
	var markers []string
	opts := objstore.ListOptions{Prefix: prefix}
	for {
		page, err := b.List(ctx, opts)
		if err != nil {
			return err
		}
		var keys []string
		for _, o := range page.Objects {
			switch {
			case !strings.HasPrefix(o.Key, prefix):
				return fmt.Errorf("the store lists %q below %q", o.Key, prefix)
			case strings.HasSuffix(o.Key, "/"):
				markers = append(markers, o.Key)
			default:
				keys = append(keys, o.Key)
			}
		}
		if err := deleteAll(ctx, b, keys); err != nil {
			return err
		}
		if page.Next == "" {
			break
		}
		opts.Token = page.Next
	}
	for _, key := range slices.Backward(markers) {
		if err := b.Delete(ctx, key, objstore.Condition{}); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll deletes keys, several at a time.
func deleteAll(ctx context.Context, b objstore.Bucket, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce / 2)
	for _, key := range keys {
		group.Go(func() error { return b.Delete(ctx, key, objstore.Condition{}) })
	}
	return group.Wait()
}
