package fusefs_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// place is a name of a directory and where reading goes on after it, as telldir(3) says.
type place struct {
	name string
	next int64
}

// readSome reads names with a buffer for about so many, and none at the end.
func readSome(fd, about int) ([]place, error) {
	buf := make([]byte, 32*(about+1))
	n, err := unix.Getdents(fd, buf)
	if err != nil {
		return nil, err
	}
	const length, name = unsafe.Offsetof(unix.Dirent{}.Reclen), unsafe.Offsetof(unix.Dirent{}.Name)
	var places []place
	for buf = buf[:n]; len(buf) > 0; buf = buf[binary.NativeEndian.Uint16(buf[length:]):] {
		text, _, _ := strings.Cut(string(buf[name:binary.NativeEndian.Uint16(buf[length:])]), "\x00")
		if text != "." && text != ".." {
			places = append(places, place{text, int64(binary.NativeEndian.Uint64(buf[unsafe.Offsetof(unix.Dirent{}.Off):]))})
		}
	}
	return places, nil
}

// readChanging reads a directory while names come and go: each that stays is read exactly
// once. Then it goes back to every place, and reads the same from there.
func readChanging(dir string) error {
	const names = 600
	path := func(kind string, i int) string { return filepath.Join(dir, fmt.Sprintf("%s%04d", kind, i)) }
	for i := range names {
		if err := must(os.WriteFile(path("stays", i), nil, 0o644), os.WriteFile(path("goes", i), nil, 0o644)); err != nil {
			return err
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	var all []place
	for i := 0; ; i++ {
		some, err := readSome(int(d.Fd()), 10)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
		// One that was read, one that may have been, one that is new.
		gone := filepath.Join(dir, some[0].name)
		if strings.HasPrefix(some[0].name, "stays") {
			gone = path("goes", names-1-i)
		}
		if err := os.Remove(gone); err != nil && !os.IsNotExist(err) {
			return err
		}
		if i >= names/20 {
			continue // else there would be a new one to read each time
		}
		if err := os.WriteFile(path("new", i), nil, 0o644); err != nil {
			return err
		}
	}
	return must(onceEach(all, names), seeks(d, all), d.Close())
}

// onceEach checks that the names which stayed were read once.
func onceEach(all []place, names int) error {
	count := map[string]int{}
	for _, p := range all {
		count[p.name]++
	}
	for i := range names {
		if name := fmt.Sprintf("stays%04d", i); count[name] != 1 {
			return fmt.Errorf("%s was read %d times", name, count[name])
		}
	}
	for name, n := range count {
		if n != 1 {
			return fmt.Errorf("%s was read %d times", name, n)
		}
	}
	return nil
}

// seeks goes back to places and compares what comes then.
func seeks(d *os.File, all []place) error {
	for i := 0; i < len(all); i += 97 {
		if _, err := unix.Seek(int(d.Fd()), all[i].next, unix.SEEK_SET); err != nil {
			return err
		}
		var rest []string
		for {
			some, err := readSome(int(d.Fd()), 200)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				break
			}
			for _, p := range some {
				rest = append(rest, p.name)
			}
		}
		for _, p := range all[:i+1] {
			if strings.HasPrefix(p.name, "stays") && slices.Contains(rest, p.name) {
				return fmt.Errorf("%s is read again behind %s", p.name, all[i].name)
			}
		}
		for _, p := range all[i+1:] {
			if strings.HasPrefix(p.name, "stays") && !slices.Contains(rest, p.name) {
				return fmt.Errorf("%s is not read behind %s", p.name, all[i].name)
			}
		}
	}
	return nil
}

// watched compares what inotify tells of changes with what it tells of a local directory.
func watched(dir string) error {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_MOVE | unix.IN_CLOSE_WRITE
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		return err
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := must(
		os.WriteFile(a, []byte("x"), 0o644), os.Chmod(a, 0o600), os.Truncate(a, 0),
		os.Rename(a, b), os.Remove(b), os.Mkdir(a, 0o755), os.Remove(a), os.Symlink("x", a), os.Remove(a),
	); err != nil {
		return err
	}
	want := []string{
		"create a", "modify a", "close a", "attrib a", "modify a",
		"from a", "to b", "delete b", "create a", "delete a", "create a", "delete a",
	}
	got, err := events(fd)
	if err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("got %q, want %q, error %w", got, want, err)
	}
	return unix.Close(fd)
}

// events reads what inotify has.
func events(fd int) ([]string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, err
	}
	kinds := map[uint32]string{
		unix.IN_CREATE: "create", unix.IN_DELETE: "delete", unix.IN_MODIFY: "modify", unix.IN_ATTRIB: "attrib",
		unix.IN_MOVED_FROM: "from", unix.IN_MOVED_TO: "to", unix.IN_CLOSE_WRITE: "close",
	}
	var got []string
	for buf = buf[:n]; len(buf) > 0; {
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[unsafe.Offsetof(unix.InotifyEvent{}.Len):]))
		name, _, _ := strings.Cut(string(buf[unix.SizeofInotifyEvent:size]), "\x00")
		kind := binary.NativeEndian.Uint32(buf[unsafe.Offsetof(unix.InotifyEvent{}.Mask):]) &^ unix.IN_ISDIR
		got = append(got, kinds[kind]+" "+name)
		buf = buf[size:]
	}
	return got, nil
}
