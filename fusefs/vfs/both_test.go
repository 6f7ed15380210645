package vfs

import (
	"errors"
	"testing"
	"testing/synctest"
)

// Two things go side by side: each is begun before the other has ended, and both end before
// the answer, which has what became of either.
func TestBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, ended := make(chan struct{}), 0
		first, second := errors.New("first"), errors.New("second")
		err := both(func() error {
			<-begun
			begun <- struct{}{}
			synctest.Wait()
			ended++
			return first
		}, func() error {
			begun <- struct{}{}
			<-begun
			ended++
			return second
		})
		if ended != 2 || !errors.Is(err, first) || !errors.Is(err, second) {
			t.Errorf("%d have ended, %v", ended, err)
		}
	})
}
