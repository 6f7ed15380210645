package fusefs

import (
	"os"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestPatient(t *testing.T) {
	alive := uint32(os.Getpid())
	interrupted := make(chan struct{})
	close(interrupted)
	for _, tc := range []struct {
		name   string
		cancel chan struct{}
		thread uint32
		first  fuse.Status
		calls  int
		want   fuse.Status
	}{
		{"done", interrupted, alive, fuse.OK, 1, fuse.OK},
		{"failed", interrupted, alive, fuse.EIO, 1, fuse.EIO},
		{"interrupted", interrupted, alive, fuse.EINTR, 2, fuse.OK},
		{"ended by us", make(chan struct{}), alive, fuse.EINTR, 1, fuse.EINTR},
		{"a thread that cannot be seen", interrupted, 0, fuse.EINTR, 1, fuse.EINTR},
	} {
		calls := 0
		got := patient(tc.cancel, tc.thread, func(cancel <-chan struct{}) fuse.Status {
			if calls++; calls == 1 {
				return tc.first
			}
			if closed(cancel) {
				t.Errorf("%s: again with a signal that was seen", tc.name)
			}
			return fuse.OK
		})
		if got != tc.want || calls != tc.calls {
			t.Errorf("%s: %v after %d calls, want %v after %d", tc.name, got, calls, tc.want, tc.calls)
		}
	}
}
