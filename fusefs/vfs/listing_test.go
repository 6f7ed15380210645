package vfs_test

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// TestListingOfRemovedDirectory: a directory that goes while it is listed behind an
// answer is nothing to warn of.
func TestListingOfRemovedDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, said := bucketOf(t, memory.Options{}), &bytes.Buffer{}
		v := open(t, bucket, t.TempDir(), shortly, func(c *vfs.Config) { c.Log = slog.New(slog.NewTextHandler(said, nil)) })
		defer v.close()
		want(t, v.mkdir("d", 0o755))
		v.drain()
		_, err := v.names("d")
		want(t, err)
		time.Sleep(700 * time.Millisecond)
		release, listed := make(chan struct{}), false
		bucket.Inject(memory.Fault{Op: objstore.OpList, Key: "v/d/", Count: 1, Hook: func() { listed = true; <-release }})
		_, err = v.names("d")
		want(t, err)
		synctest.Wait()
		if !listed {
			t.Fatal("it is not listed")
		}
		want(t, v.rmdir("d"))
		close(release)
		synctest.Wait()
		if said.Len() != 0 {
			t.Error(said)
		}
	})
}
