package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is a mount without a directory. It keeps the connection of a volume alive and can
// be put on a directory again, so that a volume never has two connections
// (hard-cases 17).
type tree struct {
	fd     int
	device string // major:minor, as mountinfo has it
}

// cloneTree makes a tree of what is mounted on dir.
func cloneTree(dir string) (*tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("keep the mount of %s: %w", dir, os.NewSyscallError("open_tree", err))
	}
	device, err := deviceOf(fd, "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep the mount of %s: %w", dir, err), unix.Close(fd))
	}
	return &tree{fd, device}, nil
}

// deviceOf returns the device number of what is at a path, as mountinfo spells it. No
// attribute is asked for, so that the kernel answers and not the filesystem.
func deviceOf(dirfd int, path string) (string, error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	var st unix.Statx_t
	if err := unix.Statx(dirfd, path, flags, 0, &st); err != nil {
		return "", os.NewSyscallError("statx", err)
	}
	return fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor), nil
}

// at reports whether a directory shows the mount. While the tree is there, no other
// filesystem has its device number.
func (t *tree) at(dir string) (bool, error) {
	device, err := deviceOf(unix.AT_FDCWD, dir)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	return device == t.device, nil
}

// detach takes the mount from a directory that shows it, and leaves any other alone.
func (t *tree) detach(dir string) error {
	switch shown, err := t.at(dir); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !shown:
		return nil
	}
	return detachFrom(dir)
}

// detachFrom takes the topmost mount from a directory.
func detachFrom(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, os.NewSyscallError("umount2", err))
	}
	return nil
}

// attach puts the tree on a directory. The tree is used up; the directory can be cloned
// again.
func (t *tree) attach(dir string) error {
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("put the mount back on %s: %w", dir, os.NewSyscallError("move_mount", err))
	}
	return nil
}

// close lets go of the tree. If nothing else has the mount, its connection ends.
func (t *tree) close() error { return os.NewSyscallError("close", unix.Close(t.fd)) }

// shown reports whether any mount namespace that can be seen from here shows the mount.
func (t *tree) shown() (bool, error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return false, err
	}
	looked := map[string]bool{}
	for _, p := range processes {
		if strings.Trim(p.Name(), "0123456789") != "" {
			continue
		}
		dir := filepath.Join("/proc", p.Name())
		namespace, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
		if err != nil || looked[namespace] {
			continue // it has ended, or its namespace was seen
		}
		found, err := shows(filepath.Join(dir, "mountinfo"), t.device)
		if err != nil {
			continue // it is ending
		}
		if found {
			return true, nil
		}
		looked[namespace] = true
	}
	return false, nil
}

// shows looks for a device in a table of mounts; the format is proc_pid_mountinfo(5).
func shows(path, device string) (bool, error) {
	table, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = table.Close() }() // read only
	lines := bufio.NewScanner(table)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == device {
			return true, nil
		}
	}
	return false, lines.Err()
}
