package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoSpace is a full disk of the content files, or a quota on it that is used up.
var ErrNoSpace = errors.New("no space left for content files")

// Cache is the folder of a volume's content files.
type Cache struct {
	dir    string
	smalls smalls
}

// Open makes the folder (0700) if it is not there; the folder above it must be.
func Open(dir string) (*Cache, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, noSpace(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", dir, unix.ENOTDIR)
	}
	c := &Cache{dir: dir}
	if err := c.smalls.load(filepath.Join(dir, "small")); err != nil {
		return nil, err
	}
	return c, nil
}

// Create makes a new, empty content file. Errors: fs.ErrExist, ErrNoSpace.
func (c *Cache) Create(ino, gen uint64) (*File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	path := c.path(ino, gen)
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, noSpace(err)
		}
		f, err = os.OpenFile(path, flags, 0o600)
	}
	if err != nil {
		return nil, noSpace(err)
	}
	return newFile(f), nil
}

// OpenFile opens a content file for reading and writing. Errors: fs.ErrNotExist.
func (c *Cache) OpenFile(ino, gen uint64) (*File, error) {
	if IsSmall(gen) {
		return c.smalls.open(gen)
	}
	f, err := os.OpenFile(c.path(ino, gen), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

// Remove unlinks a content file; one that is not there is fine. Open descriptors and
// mappings keep its bytes until they end.
func (c *Cache) Remove(ino, gen uint64) error {
	if IsSmall(gen) {
		c.smalls.remove(gen)
		return nil
	}
	if err := os.Remove(c.path(ino, gen)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Walk calls fn for every content file of its own, for sweeping leftovers at the start, and ends
// with fn's first error. fn may remove the file. Files of other names are passed over.
func (c *Cache) Walk(fn func(ino, gen uint64, path string) error) error {
	shards, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		if !shard.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(c.dir, shard.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			ino, gen, ok := parseName(file.Name())
			if !ok || shard.Name() != shardOf(ino) {
				continue
			}
			if err := fn(ino, gen, c.path(ino, gen)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Free returns how many bytes can still be written, not counting the reserve, and how
// many bytes the whole disk has.
func (c *Cache) Free(reserve int64) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(c.dir, &st) }); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: c.dir, Err: err}
	}
	// Bavail leaves out what is kept for root: using that up would hurt the host.
	free = int64(st.Bavail)*st.Frsize - reserve
	return max(free, 0), int64(st.Blocks) * st.Frsize, nil
}

func (c *Cache) path(ino, gen uint64) string {
	name := strconv.FormatUint(ino, 10) + "." + strconv.FormatUint(gen, 10)
	return filepath.Join(c.dir, shardOf(ino), name)
}

func shardOf(ino uint64) string { return fmt.Sprintf("%02x", byte(ino)) }

// parseName reads the name of a content file, in its one spelling.
func parseName(name string) (ino, gen uint64, ok bool) {
	first, second, _ := strings.Cut(name, ".")
	ino, err := strconv.ParseUint(first, 10, 64)
	if err != nil || strconv.FormatUint(ino, 10) != first {
		return 0, 0, false
	}
	gen, err = strconv.ParseUint(second, 10, 64)
	if err != nil || strconv.FormatUint(gen, 10) != second {
		return 0, 0, false
	}
	return ino, gen, true
}

// noSpace marks the errors that mean a full disk.
func noSpace(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
