package fusefs

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

// notifier tells the kernel what it shall forget. A call waits in the kernel for pages
// and directories that operations under way hold, so it comes with no lock held, and from
// no operation but two that hold none of them: a write past the kernel's pages, and a look at
// an inode that is written so, which drops no pages.
type notifier struct {
	write func([]byte) error
	// expires: the kernel can let a name expire without unmounting what is mounted on it
	// (Linux 6.2). Where it cannot, names live until their timeout (hard-cases 12).
	expires bool
	log     *slog.Logger
}

// minorDropWaits is the minor version of the protocol (Linux 6.16) from which on a kernel that
// is told to drop a page waits for what was stored into it. Before that it wrote copies back:
// the page counted as clean and was dropped while its copy was on its way.
const minorDropWaits = 44

var _ vfs.Notifier = (*notifier)(nil)

func (n *notifier) EntryChanged(parent vfs.Ino, name string) {
	if n.expires {
		n.send(expireEntry(parent, name))
	}
}

func (n *notifier) InodeChanged(ino vfs.Ino) {
	n.send(dropPages(ino, 0, 0))
}

func (n *notifier) PagesChanged(ino vfs.Ino, off, length int64) {
	n.send(dropPages(ino, off, length))
}

// send writes a notification. That the kernel does not know the name or inode, or has
// ended the connection, is nothing to report.
func (n *notifier) send(message []byte) {
	err := n.write(message)
	if err != nil && !errors.Is(err, syscall.ENOENT) && !ended(err) {
		n.log.Warn("the kernel refused a notification", "err", err)
	}
}

// ended reports whether the error of reading or writing the descriptor says that the
// connection is over.
func ended(err error) bool {
	return errors.Is(err, syscall.ENODEV) || errors.Is(err, os.ErrClosed)
}

// expireEntry is fuse_notify_inval_entry_out and the name: the next use of the name asks
// us again, and nothing else happens.
func expireEntry(parent vfs.Ino, name string) []byte {
	m := notification(fuse.NOTIFY_INVAL_ENTRY)
	m = binary.NativeEndian.AppendUint64(m, uint64(parent))
	m = binary.NativeEndian.AppendUint32(m, uint32(len(name)))
	m = binary.NativeEndian.AppendUint32(m, fuse.EXPIRE_ONLY)
	m = append(m, name...)
	return seal(append(m, 0))
}

// dropPages is fuse_notify_inval_inode_out: attributes, and the pages of so many bytes from
// off; 0 is all to the end, an off below 0 is none. The kernel takes no attributes of the inode
// from a reply to a request that it sent before.
func dropPages(ino vfs.Ino, off, length int64) []byte {
	m := notification(fuse.NOTIFY_INVAL_INODE)
	m = binary.NativeEndian.AppendUint64(m, uint64(ino))
	m = binary.NativeEndian.AppendUint64(m, uint64(off))
	m = binary.NativeEndian.AppendUint64(m, uint64(length))
	return seal(m)
}

// notification begins a message: the header of a reply (length, error, unique) with no
// unique, and in place of the error what is notified. go-fuse counts the codes downwards.
func notification(code int32) []byte {
	return header(-code, 0)
}

// refusal is a whole reply that carries nothing but an error.
func refusal(unique uint64, status fuse.Status) []byte {
	return seal(header(-int32(status), unique))
}

// header is fuse_out_header, its length still to be set.
func header(code int32, unique uint64) []byte {
	m := make([]byte, 4, 64)
	m = binary.NativeEndian.AppendUint32(m, uint32(code))
	return binary.NativeEndian.AppendUint64(m, unique)
}

// seal sets the length of a message.
func seal(m []byte) []byte {
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	return m
}
