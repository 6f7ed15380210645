package fusefs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is longer than the clock takes by which files get their times.
const clockTick = 15 * time.Millisecond

// changeTimes does all that changes modification and change times, and writes down which
// of the files and directories got new ones.
func changeTimes(t *trace) error {
	names := []string{"d", "e", "d/f", "e/g", "d/sub", "d/l"}
	if err := must(
		unix.Mkdir(t.at("d"), 0o755), unix.Mkdir(t.at("e"), 0o755), unix.Mkdir(t.at("d/sub"), 0o755), unix.Symlink("to", t.at("d/l")),
		os.WriteFile(t.at("d/f"), []byte("content"), 0o644), os.WriteFile(t.at("e/g"), []byte("content"), 0o644),
		setTimes(t.at("d/sub"), omitted, unix.Timespec{Sec: 6}), setTimes(t.at("e/g"), omitted, unix.Timespec{Sec: 7}), // never equal
	); err != nil {
		return err
	}
	fd, err := unix.Open(t.at("d/f"), unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	unlinked := func(fn func() error) func() error { // on an inode whose name is gone
		return func() error { return must(unix.Unlink(t.at("d/f")), fn()) }
	}
	acts := []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"chmod", func() error { return unix.Chmod(t.at("d/f"), 0o600) }},
		{"chmod to the same", func() error { return unix.Chmod(t.at("d/f"), 0o600) }},
		{"chown", func() error { return unix.Chown(t.at("d/f"), 1, 1) }},
		{"chown to nobody", func() error { return unix.Chown(t.at("d/f"), -1, -1) }},
		{"lchown", func() error { return unix.Lchown(t.at("d/l"), 1, 1) }},
		{"write", func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err }},
		{"append", func() error { _, err := unix.Pwrite(fd, []byte("x"), 100); return err }},
		{"write nothing", func() error { _, err := unix.Pwrite(fd, nil, 0); return err }},
		{"truncate", func() error { return unix.Truncate(t.at("d/f"), 5) }},
		{"truncate to the same", func() error { return unix.Truncate(t.at("d/f"), 5) }},
		{"ftruncate", func() error { return unix.Ftruncate(fd, 50) }},
		{"ftruncate to the same", func() error { return unix.Ftruncate(fd, 50) }},
		{"O_TRUNC", func() error { return opened(t.at("d/f"), unix.O_WRONLY|unix.O_TRUNC, nothing) }},
		{"O_TRUNC of an empty file", func() error { return opened(t.at("d/f"), unix.O_WRONLY|unix.O_TRUNC, nothing) }},
		{"open", func() error { return opened(t.at("d/f"), unix.O_RDWR, nothing) }},
		{"create", func() error { return opened(t.at("d/new"), unix.O_CREAT|unix.O_WRONLY, nothing) }},
		{"create what is there", func() error { return opened(t.at("d/new"), unix.O_CREAT|unix.O_WRONLY, nothing) }},
		{"mknod", func() error { return unix.Mkfifo(t.at("d/fifo"), 0o644) }},
		{"mkdir", func() error { return unix.Mkdir(t.at("d/dir"), 0o755) }},
		{"mkdir of what is there", func() error { return unix.Mkdir(t.at("d/dir"), 0o755) }},
		{"symlink", func() error { return unix.Symlink("x", t.at("d/link")) }},
		{"unlink", func() error { return unix.Unlink(t.at("d/new")) }},
		{"rmdir", func() error { return unix.Rmdir(t.at("d/dir")) }},
		{"rmdir of what is not there", func() error { return unix.Rmdir(t.at("d/dir")) }},
		{"rename", func() error { return unix.Rename(t.at("d/fifo"), t.at("d/fifo2")) }},
		{"rename to another directory", func() error { return unix.Rename(t.at("d/f"), t.at("e/f")) }},
		{"rename back", func() error { return unix.Rename(t.at("e/f"), t.at("d/f")) }},
		{"rename of a directory", func() error { return unix.Rename(t.at("d/sub"), t.at("e/sub")) }},
		{"rename of it back", func() error { return unix.Rename(t.at("e/sub"), t.at("d/sub")) }},
		{"rename to itself", func() error { return unix.Rename(t.at("d/f"), t.at("d/f")) }},
		{"exchange", func() error { return renameat2(t.at("d/f"), t.at("e/g"), unix.RENAME_EXCHANGE) }},
		{"exchange back", func() error { return renameat2(t.at("d/f"), t.at("e/g"), unix.RENAME_EXCHANGE) }},
		{"exchange with a directory", func() error { return renameat2(t.at("d/sub"), t.at("e/g"), unix.RENAME_EXCHANGE) }},
		{"exchange with it back", func() error { return renameat2(t.at("d/sub"), t.at("e/g"), unix.RENAME_EXCHANGE) }},
		{"touch", func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, t.at("d/f"), nil, 0) }},
		{"set of atime", func() error { return setTimes(t.at("d/f"), unix.Timespec{Sec: 5}, omitted) }},
		{"set of neither", func() error { return setTimes(t.at("d/f"), omitted, omitted) }},
		{"rename over an open file", func() error { return unix.Rename(t.at("e/g"), t.at("d/f")) }},
		{"unlink of an open file", unlinked(func() error { return nil })},
		{"fchmod of it", func() error { return unix.Fchmod(fd, 0o640) }},
		{"write to it", func() error { _, err := unix.Write(fd, []byte("x")); return err }},
	}
	for _, act := range acts {
		before := stamps(t, fd, names)
		time.Sleep(clockTick)
		err := act.do()
		after := stamps(t, fd, names)
		var changed []string
		for i, name := range append(names, "the open file") {
			if before[i].Mtim != after[i].Mtim {
				changed = append(changed, "mtime of "+name)
			}
			if before[i].Ctim != after[i].Ctim {
				changed = append(changed, "ctime of "+name)
			}
		}
		t.say("%s: %s changes %s", act.name, code(err), strings.Join(changed, ", "))
	}
	return unix.Close(fd)
}

// stamps are the attributes of some names and of an open file. Those of a name that is not
// there are none.
func stamps(t *trace, fd int, names []string) []unix.Stat_t {
	all := make([]unix.Stat_t, len(names)+1)
	for i, name := range names {
		_ = unix.Lstat(t.at(name), &all[i])
	}
	_ = unix.Fstat(fd, &all[len(names)])
	return all
}

var omitted = unix.Timespec{Nsec: unix.UTIME_OMIT}

func setTimes(path string, atime, mtime unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

// farTimes sets times at the ends of what a local filesystem holds, and behind them.
func farTimes(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	for set, want := range map[int64]int64{
		0: 0, -1: -1, -1 << 31: -1 << 31, 1<<32 + 1: 1<<32 + 1, 15032385535: 15032385535,
		-1<<31 - 1: -1 << 31, -1 << 62: -1 << 31, 15032385536: 15032385535, 1<<62 + 5: 15032385535,
	} {
		var st unix.Stat_t
		at := unix.Timespec{Sec: set}
		if err := must(setTimes(path, at, at), unix.Stat(path, &st)); err != nil {
			return err
		}
		if st.Atim.Sec != want || st.Mtim.Sec != want {
			return fmt.Errorf("%d became %d and %d, want %d", set, st.Atim.Sec, st.Mtim.Sec, want)
		}
	}
	return nil
}

// accessTimes reads in all ways while access times are due, and while they are not.
func accessTimes(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := must(os.WriteFile(at("f"), []byte("content"), 0o644), os.Mkdir(at("d"), 0o755), os.WriteFile(at("d/x"), nil, 0o644), os.Symlink("f", at("l"))); err != nil {
		return err
	}
	old := unix.Timespec{Sec: 1_000_000_000, Nsec: 1}
	reads := []struct {
		what, name string
		sets       bool
		do         func() error
	}{
		{"read", "f", true, func() error { return holds(at("f"), "content") }},
		{"read after a change", "f", true, func() error {
			return must(unix.Chmod(at("f"), 0o600), setTimes(at("f"), old, omitted), holds(at("f"), "content"))
		}},
		{"read through a mapping", "f", true, func() error { return readMapped(at("f")) }},
		{"read with O_NOATIME", "f", false, func() error { return readWith(at("f"), unix.O_NOATIME) }},
		{"open", "f", false, func() error { return opened(at("f"), unix.O_RDONLY, nothing) }},
		{"stat", "f", false, func() error { return unix.Access(at("f"), unix.R_OK) }},
		{"readdir", "d", true, func() error { return lists(at("d"), "x") }},
		{"lookup", "d", false, func() error { return unix.Access(at("d/x"), unix.F_OK) }},
		{"readdir with O_NOATIME", "d", false, func() error {
			return opened(at("d"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOATIME, func(fd int) error {
				_, err := unix.Getdents(fd, make([]byte, 4096))
				return err
			})
		}},
		{"readlink", "l", true, func() error { _, err := os.Readlink(at("l")); return err }},
	}
	// Many times those that end with a close of the file, which comes to us behind their backs.
	for range 200 {
		reads = append(reads, reads[:3]...)
	}
	for _, r := range reads {
		var st unix.Stat_t
		before := time.Now().Add(-time.Second)
		if err := must(setTimes(at(r.name), old, omitted), r.do(), unix.Lstat(at(r.name), &st)); err != nil {
			return fmt.Errorf("%s: %w", r.what, err)
		}
		if set := time.Unix(st.Atim.Unix()).After(before); set != r.sets || !set && st.Atim != old {
			return fmt.Errorf("%s: the access time is %v", r.what, time.Unix(st.Atim.Unix()))
		}
	}
	// It is younger than the other times now: who reads again leaves it.
	hour := unix.Timespec{Sec: time.Now().Add(time.Hour).Unix()}
	var st unix.Stat_t
	if err := must(setTimes(at("f"), hour, omitted), readWith(at("f"), unix.O_DIRECT), unix.Stat(at("f"), &st)); err != nil {
		return err
	}
	if st.Atim != hour {
		return fmt.Errorf("a second read set %v", time.Unix(st.Atim.Unix()))
	}
	return as(user{other, other, nil}, func() error {
		return expect("O_NOATIME on another's file", readWith(at("d/x"), unix.O_NOATIME), syscall.EPERM)
	})
}

func readWith(path string, flags int) error {
	return opened(path, unix.O_RDONLY|flags, func(fd int) error {
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
		if err != nil {
			return err
		}
		_, err = unix.Pread(fd, m, 0)
		return must(err, unix.Munmap(m))
	})
}

func readMapped(path string) error {
	return opened(path, unix.O_RDONLY, func(fd int) error {
		m, err := unix.Mmap(fd, 0, 7, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		if got := string(m); got != "content" {
			return fmt.Errorf("the mapping is %q", got)
		}
		return unix.Munmap(m)
	})
}
