package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// reading is a directory that is read while names come and go.
type reading struct {
	fd    int
	stays map[string]uint64 // the inodes of names that are there since reading began
	seen  map[string]int
}

// fresh lists the directory through a handle of its own.
func (d *reading) fresh() map[string]uint64 {
	names := map[string]uint64{}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", d.fd))
	if err != nil {
		return names
	}
	for _, e := range entries {
		var st unix.Stat_t
		if unix.Fstatat(d.fd, e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			names[e.Name()] = st.Ino
		}
	}
	return names
}

// notice forgets the names that went or changed hands: whether they are read is open.
func (s *side) notice() {
	for _, d := range s.dirs {
		now := d.fresh()
		for name, ino := range d.stays {
			if now[name] != ino {
				delete(d.stays, name)
			}
		}
	}
}

func (d *reading) begin() {
	d.stays, d.seen = d.fresh(), map[string]int{}
}

func opOpendir(s *side, a args) string {
	fd, err := unix.Open(s.path(a[1]), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return code(err)
	}
	if old, ok := s.dirs[a[0]]; ok {
		_ = unix.Close(old.fd)
	}
	d := &reading{fd: fd}
	d.begin()
	s.dirs[a[0]] = d
	return code(nil)
}

// opReaddir reads a few names. How many is the filesystem's choice.
func opReaddir(s *side, a args) string {
	d, ok := s.dirs[a[0]]
	if !ok {
		return "not open"
	}
	some, err := readSome(d.fd, int(a.number(1)))
	for _, p := range some {
		d.seen[p.name]++
	}
	if errors.Is(err, unix.EINVAL) {
		return code(nil) // the buffer is too small for the next name
	}
	return code(err)
}

func opRewind(s *side, a args) string {
	d, ok := s.dirs[a[0]]
	if !ok {
		return "not open"
	}
	_, err := unix.Seek(d.fd, 0, unix.SEEK_SET)
	d.begin()
	return code(err)
}

// opReadEnd reads the rest: each name that stayed was read once, and none twice.
func opReadEnd(s *side, a args) string {
	d, ok := s.dirs[a[0]]
	if !ok {
		return "not open"
	}
	for {
		some, err := readSome(d.fd, 100)
		if err != nil {
			return code(err)
		}
		if len(some) == 0 {
			break
		}
		for _, p := range some {
			d.seen[p.name]++
		}
	}
	var wrong []string
	for name := range d.stays {
		if d.seen[name] != 1 {
			wrong = append(wrong, fmt.Sprintf("%.40q read %d times", name, d.seen[name]))
		}
	}
	slices.Sort(wrong)
	return fmt.Sprint(wrong)
}
