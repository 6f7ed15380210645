package floor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	// timeout is how long the kernel believes names and attributes.
	timeout = time.Second
	// largest is the bytes of one request at most: what the kernel can do.
	largest = 1 << 20
)

// serve mounts a filesystem on a directory until ctx ends. Mounting needs root.
func serve(ctx context.Context, root fs.InodeEmbedder, dir string) error {
	remembered := timeout
	server, err := fs.Mount(dir, root, &fs.Options{
		EntryTimeout: &remembered,
		AttrTimeout:  &remembered,
		MountOptions: fuse.MountOptions{
			FsName:      "objvol-bench-floor",
			Options:     []string{"default_permissions"},
			AllowOther:  true,
			MaxWrite:    largest,
			DirectMount: true,
			// Without it the kernel asks for an attribute before every write.
			ExtraCapabilities: fuse.CAP_HANDLE_KILLPRIV_V2,
		},
	})
	if err != nil {
		return fmt.Errorf("mount on %s: %w", dir, err)
	}
	ahead := readAhead(dir)
	if ahead == nil {
		<-ctx.Done()
	}
	// What is still open is not waited for.
	if err := server.Unmount(); err != nil {
		return errors.Join(ahead, err, os.NewSyscallError("umount2", unix.Unmount(dir, unix.MNT_DETACH)))
	}
	return ahead
}

// readAhead lets the kernel read ahead as much as one request can have.
func readAhead(dir string) error {
	var st unix.Statx_t
	// Without a request to ourselves.
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", st.Dev_major, st.Dev_minor)
	return os.WriteFile(path, fmt.Append(nil, largest>>10), 0)
}
