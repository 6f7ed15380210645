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

// TestRemovedDirectoryStaysAway: a directory that exists by its keys alone does not come
// back after its rmdir or rename because a listing still shows them.
func TestRemovedDirectoryStaysAway(t *testing.T) {
	for _, held := range []string{objstore.OpDelete, objstore.OpList} {
		t.Run(held, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bucketOf(t, memory.Options{})
				for _, key := range []string{"v/d/f", "v/d/gone/f", "v/d/moved/f"} {
					b.Set(key, []byte("x"), objstore.Attributes{})
				}
				v := open(t, b, t.TempDir(), shortly)
				defer v.close()
				want(t, v.mkdir("kept", 0o755))
				for _, dir := range []string{"d", "d/gone", "d/moved"} {
					_, err := v.names(dir)
					want(t, err)
				}
				v.drain()
				// The deletes come after the listing, or between its execution and its answer.
				hold := memory.Fault{Op: held, Count: memory.Forever, Delay: 10 * time.Second}
				if held == objstore.OpList {
					hold = memory.Fault{Op: held, Key: "v/d/", Count: 1, After: true, Hook: func() { time.Sleep(5 * time.Second) }}
				}
				b.Inject(hold)
				time.Sleep(700 * time.Millisecond)
				_, err := v.names("d") // it is listed behind this answer
				want(t, err)
				want(t, v.unlink("d/gone/f"))
				want(t, v.rmdir("d/gone"))
				want(t, v.rename("d/moved", "kept/moved"))
				for range 20 {
					time.Sleep(500 * time.Millisecond)
					if names, err := v.names("d"); err != nil || len(names) != 1 {
						t.Fatalf("in the directory: %q, %v", names, err)
					}
				}
				want(t, v.unlink("d/f"))
				want(t, v.rmdir("d"))
			})
		})
	}
}
