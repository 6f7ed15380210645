package floor

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fs"
)

// Loopback shows a directory on another until ctx ends.
func Loopback(ctx context.Context, source, dir string) error {
	root, err := fs.NewLoopbackRoot(source)
	if err != nil {
		return err
	}
	return serve(ctx, root, dir)
}
