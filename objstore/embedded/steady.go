//go:build !noembedded

package embedded

import (
	"context"
	"errors"
	"syscall"
)

// steady runs a read until the object was the same before and after it. The backend
// reads an object's attributes one by one and by name, so that a read during which the
// object is replaced mixes two of them: one's ETag, the other's bytes. discard takes
// what such a read returned.
func steady[T any](ctx context.Context, path string, read func() (T, error), discard func(T) error) (T, error) {
	before := identify(path)
	for {
		out, err := read()
		after := identify(path)
		if after == before {
			return out, err
		}
		before = after
		if err == nil {
			err = discard(out)
		}
		if err := errors.Join(ctx.Err(), err); ctx.Err() != nil {
			var none T
			return none, err
		}
	}
}

// identity changes whenever a file is replaced or its attributes change. The zero value
// is no object. A folder's ctime moves with every file in it; what a marker's client
// chose is in one attribute and cannot be mixed.
type identity struct {
	inode uint64
	ctime syscall.Timespec
}

func identify(path string) identity {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return identity{}
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return identity{inode: st.Ino}
	}
	return identity{inode: st.Ino, ctime: st.Ctim}
}
