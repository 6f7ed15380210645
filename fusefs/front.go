package fusefs

import (
	"context"
	"log/slog"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

// front translates FUSE's operations into calls of a vfs. The embedded filesystem
// answers ENOSYS to those that are not implemented.
type front struct {
	fuse.RawFileSystem
	fs    *vfs.FS
	pipes *pipes // replies that are not in the buffers of their operations
	log   *slog.Logger
}

var _ fuse.RawFileSystem = (*front)(nil)

func newFront(fs *vfs.FS, log *slog.Logger) *front {
	return &front{RawFileSystem: fuse.NewDefaultRawFileSystem(), fs: fs, pipes: new(pipes), log: log}
}

// request is the context of one operation, made of the channel that is closed when it is
// interrupted. It bounds waiting only: what an operation has begun it ends.
type request <-chan struct{}

var _ context.Context = request(nil)

func (r request) Done() <-chan struct{} { return r }

func (r request) Err() error {
	select {
	case <-r:
		return context.Canceled
	default:
		return nil
	}
}

func (request) Deadline() (time.Time, bool) { return time.Time{}, false }

func (request) Value(any) any { return nil }

func caller(h *fuse.InHeader) vfs.Caller {
	return vfs.Caller{UID: h.Uid, GID: h.Gid, Thread: h.Pid, InGroup: func(gid uint32) bool { return inGroup(h.Pid, gid) }}
}

// creator is the caller of an operation that creates something.
func creator(h *fuse.InHeader, umask uint32) vfs.Caller {
	who := caller(h)
	who.Umask = umask
	return who
}
