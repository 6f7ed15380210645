package main

import (
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/vfs"
)

func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, takes := 0, time.Duration(0)
		r := &recent{read: func() vfs.State {
			time.Sleep(takes)
			reads++
			return vfs.State{Queue: reads}
		}}
		want := func(queue int, after time.Duration) {
			t.Helper()
			begun := time.Now()
			if got := r.get().Queue; got != queue || time.Since(begun) != after {
				t.Errorf("%d after %v, want %d after %v", got, time.Since(begun), queue, after)
			}
		}
		takes = time.Minute
		want(1, time.Minute) // the first are waited for
		want(1, 0)
		time.Sleep(recentFor)
		want(1, recentWait) // others are not
		want(1, recentWait) // and no second reading begins
		time.Sleep(time.Minute)
		want(2, 0)
		time.Sleep(recentFor)
		takes = 0
		want(3, 0)
		r.close()
		want(4, 0)
		time.Sleep(recentFor)
		want(4, 0)
	})
}
