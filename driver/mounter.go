package driver

import (
	"context"
	"fmt"
	"strings"
)

// Mounter is what the driver asks of a filesystem. The driver calls it for one volume at a
// time from one goroutine, for different volumes at once. Contexts carry the driver's
// deadlines: a method returns soon after its context ended.
type Mounter interface {
	// Prepare makes or checks the bucket and writes the volume's definition there. It is
	// called at Create, and again when a Create is repeated after a failure: finding its
	// own earlier work is no error. It reports whether the prefix held no object.
	Prepare(ctx context.Context, spec Spec) (empty bool, err error)

	// Mount mounts the volume on dir, an existing empty directory. The context bounds the
	// mounting, not the life of the mount. What an earlier mount left pending is taken up.
	Mount(ctx context.Context, spec Spec, dir string) (Mount, error)

	// Pending tells what local state keeps of an unmounted volume that the bucket does not
	// have yet. It stays on this host: no request to the bucket.
	Pending(ctx context.Context, spec Spec) (Pending, error)

	// Remove forgets the volume: its local state and, if deleteData, all of its objects
	// and its definition. It is not called while the volume is mounted or has data
	// pending. It may be repeated after a failure.
	Remove(ctx context.Context, spec Spec, deleteData bool) error
}

// Mount is one mounted volume.
type Mount interface {
	// Verify reports whether the directory is this mount and alive.
	Verify(ctx context.Context) error

	// Drain returns when all data is in the bucket or the context ended. The volume stays
	// mounted and usable; the context may be cancelled because somebody needs it again.
	Drain(ctx context.Context)

	// Unmount detaches the mount, always, and drains what is left until the context ends,
	// which it may have done already. If data is left it returns a *PendingError and goes
	// on uploading in the background. The Mount is not used after it.
	Unmount(ctx context.Context) error

	// Status tells how the volume does. It answers from memory at once: Get and List
	// wait for it.
	Status() MountStatus
}

// MountStatus is how a mounted volume does.
type MountStatus struct {
	Pending   Pending // not yet in the bucket
	LastError error   // of the latest request to the bucket that failed for good; nil if none
}

// Pending is data that the bucket does not have yet.
type Pending struct {
	Files int
	Bytes int64
	Names []string // some of the files, as paths within the volume; may be fewer than Files
}

// None reports whether nothing is pending.
func (p Pending) None() bool { return p.Files == 0 && p.Bytes == 0 }

// String names the files and counts the bytes.
func (p Pending) String() string {
	const most = 5
	var b strings.Builder
	plural := "s"
	if p.Files == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d file%s, %d bytes", p.Files, plural, p.Bytes)
	names := p.Names[:min(most, len(p.Names))]
	if len(names) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, " (%s", strings.Join(names, ", "))
	if more := p.Files - len(names); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String() + ")"
}

// PendingError says that a volume has data that is not in the bucket. The data is safe in
// the local state; the upload goes on.
type PendingError struct{ Pending }

// Error names files and bytes.
func (e *PendingError) Error() string {
	return "not yet in the bucket: " + e.String() + "; kept in local state, the upload goes on"
}
