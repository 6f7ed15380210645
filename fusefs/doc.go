// Package fusefs is the kernel's side of a volume: it mounts a [vfs.FS] and translates
// between FUSE and it. Nothing here decides what POSIX wants, and nothing below knows of
// FUSE or an errno.
//
//	kernel --/dev/fuse--> session.go      reads requests, writes replies
//	                         |
//	                    ProtocolServer    go-fuse: bytes to structs and back
//	                         |
//	                     observe.go       every operation measured, panics caught
//	                         |
//	          names.go attr.go data.go dir.go      one method per operation,
//	                         |                     one call into vfs each
//	                       vfs.FS
//	                         |
//	kernel <--/dev/fuse-- notify.go       what the kernel shall forget
//
// # Vocabulary
//
// An inode number is FUSE's node id. A connection is what one mount(2) made: the kernel
// keeps it until the last reference to the mount is gone, in whatever mount namespace.
// A [Session] serves one connection.
// A file handle is the unique number of the request that opened the file, so that a
// request that is executed twice opens once, and so that it means something to whoever
// serves the connection next (hard-cases 2).
// Lookup counts live in the vfs: each entry that is answered counts one there, a forget
// is passed on.
//
// # The descriptor
//
// /dev/fuse is opened and mounted here, without a helper program. There is one
// descriptor per connection and no clones of it: a clone that dies takes its requests
// along (hard-cases 13). A few readers wait in read(2); who takes a request answers it,
// and the last who waits starts another first, so that a request that waits for the
// network keeps no other waiting. They end when the kernel ends the connection.
//
// Replies and notifications are written side by side. A notification waits in the kernel
// for pages that a pending READ holds: were they taken one after the other, its reply
// could never be sent.
//
// A large READ of what lies in a content file is answered by its pages, through a pipe
// (splice.go), every other reply from a buffer.
//
// # Signals
//
// Only a signal that ends the caller interrupts what it waits for, as with a local
// filesystem, but for reads, which any signal interrupts (interrupt.go).
//
// # What the kernel does itself
//
// Reads, writes and mappings of the files that the vfs passes to it (passthrough), on the
// local disk: of those OPEN, FLUSH, FSYNC, RELEASE and what names or attributes need arrive,
// and the operations that change a file otherwise.
//
// Permissions (default_permissions), by access control lists too, locks of both kinds and
// leases, the ranges of a file that fallocate shall collapse or insert (refused), opening
// fifos, sockets and devices. The umask is left to the vfs, because a default list takes
// its place; so is what a list and the mode mean for each other. The kernel asks for lists
// when it judges somebody whom the mode alone does not admit, and for file capabilities
// before the first write to a file and when it executes one. It remembers the answers until
// the attributes expire.
//
// Setuid programs work as on a local filesystem (no nosuid), devices do not
// (nodev). Privileges are dropped by the vfs when the kernel says so
// (HANDLE_KILLPRIV_V2), on the requests that change content or owner.
//
// go-fuse's fs package documents how nodes, entries, handles and the kernel's caches
// relate, and how a process that touches its own mount deadlocks: tests do it from a
// child process (package mounttest).
package fusefs
