package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// DefaultSocket is where the engine looks for a plugin named objvol.
const DefaultSocket = "/run/docker/plugins/objvol.sock"

// maxSocketPath is what fits into the kernel's sockaddr_un, in bytes.
const maxSocketPath = 107

// NoGroup as the group of Listen leaves the socket to root alone.
const NoGroup = -1

// Listen makes the plugin's socket at path, 0600, or 0660 for a group. Nobody can connect
// to it before it has its mode: it is made in a private folder and renamed into place. A
// leftover of a dead driver is replaced; where somebody listens is an error. Closing the
// listener removes the socket.
func Listen(path string, group int) (net.Listener, error) {
	l, err := listen(path, group)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

func listen(path string, group int) (_ net.Listener, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := checkLeftover(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".o")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	temp := filepath.Join(private, "s")
	if len(temp) > maxSocketPath {
		return nil, fmt.Errorf("the path is too long for a socket, by %d bytes", len(temp)-maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would unlink temp
	info, err := publish(temp, path, group)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{UnixListener: l, path: path, info: info}, nil
}

// Inherit makes the plugin's socket of a descriptor on which another process already
// listens, and takes the descriptor over. Closing the listener leaves the file alone.
func Inherit(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "inherited")
	l, err := net.FileListener(f) // works on a copy that children do not get
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("inherit a socket: %w", err)
	}
	unix, ok := l.(*net.UnixListener)
	if !ok { // anybody could reach it
		return nil, errors.Join(fmt.Errorf("inherit a socket: %s is no unix socket", l.Addr()), l.Close())
	}
	return &socket{UnixListener: unix, path: unix.Addr().String()}, nil
}

// publish gives the socket its owner and mode and then its name.
func publish(temp, path string, group int) (os.FileInfo, error) {
	mode := os.FileMode(0o600)
	if group != NoGroup {
		mode = 0o660
		if err := os.Chown(temp, -1, group); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(temp, mode); err != nil {
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	return info, os.Rename(temp, path)
}

// checkLeftover allows path to be replaced if nothing is there, or a socket on which
// nobody listens.
func checkLeftover(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("something that is no socket is in the way")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = conn.Close()
	}
	return errors.Join(errors.New("another driver is running there"), err)
}

// socket is a listener that removes its own file, and no other that took its place.
type socket struct {
	*net.UnixListener
	path string
	info os.FileInfo // nil if the file is somebody else's
	once sync.Once
}

// Addr is where the engine finds the socket.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close stops listening and removes the file, if it is ours.
func (s *socket) Close() (err error) {
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.path); s.info != nil && statErr == nil && os.SameFile(now, s.info) {
			err = os.Remove(s.path)
		}
		err = errors.Join(err, s.UnixListener.Close())
	})
	return err
}
