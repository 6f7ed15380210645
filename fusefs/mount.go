package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
)

// Options say where and how a filesystem is mounted.
type Options struct {
	// Dir is the directory to mount on.
	Dir string
	// FSName is the source that /proc/mounts shows: "objvol:" and the volume's name.
	FSName string
	// ReadOnly makes the kernel refuse every change.
	ReadOnly bool
	// Log is nil for none.
	Log *slog.Logger
	// Observer is nil for none.
	Observer Observer
}

const (
	// maxBackground is how many requests that nobody waits for, such as readahead, the
	// kernel sends at once. Its own 12 would starve a volume whose answers come from a
	// network.
	maxBackground = 256
	// readAhead is the kernel's readahead window in KiB: two READs of the largest size.
	readAhead = 2 * maxRead >> 10
)

// capabilities are asked for beside go-fuse's own choice. Two are not, on purpose. The
// writeback cache takes the authority over sizes and times from us. With ASYNC_DIO a read
// with O_DIRECT waits for its answer where no signal reaches it, not even SIGKILL.
const capabilities = fuse.CAP_ATOMIC_O_TRUNC | // open(O_TRUNC) is one request, and needs no old content
	fuse.CAP_DONT_MASK | // a default access control list takes the place of the umask
	fuse.CAP_POSIX_ACL | // the kernel judges by the lists, and remembers them
	fuse.CAP_SETXATTR_EXT | // it says when a list costs setgid
	fuse.CAP_HANDLE_KILLPRIV_V2 | // without it the kernel asks for an xattr before every write
	fuse.CAP_READDIRPLUS_AUTO // attributes with the names where someone looks at them

// Mount mounts fs and serves it until the kernel ends the connection: see
// [Session.Unmount] and [Session.Done]. A dead mount that a killed process left on the
// directory is detached first. Mounting needs root.
func Mount(fs *vfs.FS, opts Options) (*Session, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir, err := mountpoint(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", opts.Dir, err)
	}
	dev, err := openDevice()
	if err != nil {
		return nil, err
	}
	if err := mount(dev.fd, dir, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %s: %w", dir, err), dev.close())
	}
	front := newFront(fs, log)
	s := newSession(dev, dir, &observed{RawFileSystem: front, asked: fs.Asked, observer: opts.Observer, log: log}, fs.PassthroughMin > 0, log)
	s.pipes = front.pipes
	if err := s.begin(fs); err != nil {
		// Closing the descriptor makes the mount dead, never blocking: it can be detached.
		return nil, errors.Join(fmt.Errorf("mount on %s: %w", dir, err), dev.close(), detach(dir))
	}
	return s, nil
}

// mountpoint returns the true path of a directory.
func mountpoint(dir string) (string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, syscall.ENOTCONN) {
		if err := detach(dir); err != nil {
			return "", err
		}
		info, err = os.Stat(dir)
	}
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", syscall.ENOTDIR
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// mount attaches the connection of the descriptor fd to dir. Setuid programs keep
// working, as in any volume; devices do not.
func mount(fd int, dir string, opts Options) error {
	data := []string{
		fmt.Sprintf("fd=%d", fd),
		"rootmode=40000", // octal: a directory
		"user_id=0",
		"group_id=0",
		"default_permissions",
		"allow_other",
		fmt.Sprintf("max_read=%d", maxRead),
	}
	flags := uintptr(unix.MS_NODEV)
	if opts.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount(opts.FSName, dir, "fuse.objvol", flags, strings.Join(data, ","))
}

// detach takes the topmost mount from dir. What has it open keeps it alive.
func detach(dir string) error {
	return os.NewSyscallError("umount2", unix.Unmount(dir, unix.MNT_DETACH))
}

// protocolOptions are what INIT answers.
func protocolOptions(passthrough bool, log *slog.Logger) *fuse.MountOptions {
	opts := &fuse.MountOptions{
		MaxWrite:          maxWrite,
		MaxBackground:     maxBackground,
		ExtraCapabilities: capabilities,
		// The kernel's pages go when we say so: it would drop them at every change of the
		// modification time, those of a program's own writes included.
		ExplicitDataCacheControl: true,
		// Backing files lie on no stacked file system, and this mount may lie under one.
		MaxStackDepth: 1,
		Logger:        slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if !passthrough {
		opts.DisabledCapabilities = fuse.CAP_PASSTHROUGH
	}
	return opts
}

// begin answers INIT, the first request of every connection, and starts serving.
func (s *Session) begin(fs *vfs.FS) error {
	in, free := requestBuffer()
	defer free()
	n, err := s.device.read(in)
	if err != nil {
		return err
	}
	s.initRequest = bytes.Clone(in[:n])
	reply, err := s.handle(s.initRequest, make([]byte, sizes[0]))
	if err != nil {
		return fmt.Errorf("agree with the kernel on a protocol: %w", err)
	}
	s.initReply = bytes.Clone(reply)
	if err := s.device.write(s.initReply); err != nil {
		return err
	}

	offered := offeredFlags(s.initRequest)
	if offered&fuse.CAP_HANDLE_KILLPRIV_V2 == 0 {
		s.log.Warn("this kernel cannot leave dropping setuid to a filesystem: writes keep it, and are slow (Linux 5.12 can)")
	}
	if s.mount, err = identityOf(s.dir); err != nil {
		return err
	}
	if s.control, err = openControl(s.mount.dev); err != nil {
		return err
	}
	s.raiseReadAhead()
	s.notifier = &notifier{write: s.device.write, expires: offered&fuse.CAP_HAS_EXPIRE_ONLY != 0, log: s.log}
	fs.SetNotifier(s.notifier)
	if offered&fuse.CAP_PASSTHROUGH != 0 {
		fs.SetPasser(&backing{device: s.device, log: s.log})
	}
	if offeredMinor(s.initRequest) >= minorDropWaits {
		fs.AllowPast()
	}
	s.start()
	return nil
}

// offeredFlags reads what the kernel can do from its INIT request. Kernels before 5.17
// send the lower half of the flags only.
func offeredFlags(request []byte) uint64 {
	const low, high = unsafe.Offsetof(fuse.InitIn{}.Flags), unsafe.Offsetof(fuse.InitIn{}.Flags2)
	var flags uint64
	if uintptr(len(request)) >= high {
		flags = uint64(binary.NativeEndian.Uint32(request[low:]))
	}
	if uintptr(len(request)) >= high+4 {
		flags |= uint64(binary.NativeEndian.Uint32(request[high:])) << 32
	}
	return flags
}

// offeredMinor reads from its INIT request which version of the protocol the kernel speaks.
func offeredMinor(request []byte) uint32 {
	const at = unsafe.Offsetof(fuse.InitIn{}.Minor)
	if uintptr(len(request)) < at+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(request[at:])
}

// identity tells one mount from every other. Device numbers are used again; so are the
// numbers of mounts, before Linux 6.8.
type identity struct {
	dev   uint64
	mount uint64
}

// identityOf returns the identity of the mount at dir. It asks for no attribute and for
// nothing fresh, so that the kernel answers it without a request to the filesystem: it
// cannot hang, whoever serves that.
func identityOf(dir string) (identity, error) {
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, flags, unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE, &st); err != nil {
		return identity{}, &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	return identity{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), mount: st.Mnt_id}, nil
}

// raiseReadAhead lets the kernel read ahead as much as fits into a request. Its default
// is an eighth of that. Where /sys is read-only, reading is a bit slower.
func (s *Session) raiseReadAhead() {
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(s.mount.dev), unix.Minor(s.mount.dev))
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d", readAhead), 0o600); err != nil {
		s.log.Debug("readahead stays at the kernel's default", "err", err)
	}
}
