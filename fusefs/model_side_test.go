package fusefs_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// side is one of the two on which a program is run: the mount or the local directory.
type side struct {
	dir   string
	files map[string]int      // descriptors by slot
	dirs  map[string]*reading // directories that are being read, by slot
}

func newSide(dir string) *side {
	return &side{dir: dir, files: map[string]int{}, dirs: map[string]*reading{}}
}

// fd is the descriptor of a slot, and one that nobody has where nothing is open.
func (s *side) fd(slot string) int {
	if fd, ok := s.files[slot]; ok {
		return fd
	}
	return -1
}

func (s *side) closeFile(slot string) error {
	fd, ok := s.files[slot]
	if !ok {
		return syscall.EBADF
	}
	delete(s.files, slot)
	return unix.Close(fd)
}

// closeAll says what the files held.
func (s *side) closeAll() string {
	var said []string
	for _, slot := range slots {
		fd, ok := s.files[slot]
		if !ok {
			continue
		}
		said = append(said, "handle "+slot, heldBy(fd), code(s.closeFile(slot)))
	}
	for slot, d := range s.dirs {
		_ = unix.Close(d.fd)
		delete(s.dirs, slot)
	}
	return strings.Join(said, " ")
}

// heldBy are the bytes of an open file, whether or not it has a name or was opened to read.
func heldBy(fd int) string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "no regular file"
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return err.Error()
	}
	return digest(data)
}

// people are who does the steps of a program, by what a step begins with.
type people map[string]chan func()

// groupsOf are the groups of the users beside their own.
var groupsOf = map[string]user{
	"1000": {uid: 1000, gid: 1000, groups: []uint32{1000, 2000}},
	"1001": {uid: 1001, gid: 2000, groups: []uint32{2000}},
}

// newPeople starts a thread for each user. They end with the process.
func newPeople() people {
	all := people{}
	for name, u := range groupsOf {
		calls := make(chan func())
		all[name] = calls
		go func() {
			_ = as(u, func() error {
				for fn := range calls {
					fn()
				}
				return nil
			})
		}()
	}
	return all
}

// do lets somebody run fn; nobody is root.
func (p people) do(who string, fn func()) {
	calls, ok := p[who]
	if !ok {
		fn()
		return
	}
	done := make(chan struct{})
	calls <- func() {
		defer close(done)
		fn()
	}
	<-done
}

// clockMoves waits until the clock of files has moved, so that a change shows in their times.
func clockMoves() {
	now := func() (ts unix.Timespec) {
		_ = unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts)
		return ts
	}
	for start := now(); now() == start; {
		time.Sleep(500 * time.Microsecond)
	}
}

func utimensat(fd int, ts []unix.Timespec) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts[0])), 0, 0, 0)
	runtime.KeepAlive(ts)
	if e != 0 {
		return e
	}
	return nil
}

// statWords are what stat(2) says that is the same on every filesystem, without times. The
// links of a directory are known only after it was listed.
func statWords(st *unix.Stat_t) string {
	words := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		words += fmt.Sprintf(" links %d size %d rdev %x", st.Nlink, st.Size, st.Rdev)
	}
	return words
}

// looks are the states of what a step is about, before or after it.
type looks map[string]unix.Stat_t

// look looks, as root, at what a step names: its paths, what they lead to, the
// directories that they are in, and its open files.
func (s *side) look(v verb, a args) looks {
	all := looks{}
	see := func(what string, err error, st unix.Stat_t) {
		if err == nil {
			all[what] = st
		}
	}
	for i, kind := range v.args {
		var st unix.Stat_t
		switch kind {
		case 'p':
			see(a[i], unix.Lstat(s.path(a[i]), &st), st)
			see(a[i]+" followed", unix.Stat(s.path(a[i]), &st), st)
			see("parent of "+a[i], unix.Lstat(s.parent(a[i]), &st), st)
		case 'h':
			see("handle "+a[i], unix.Fstat(s.fd(a[i]), &st), st)
		}
	}
	return all
}

// changed says what is after a step, and which times it changed: to what, if that was given.
// Of access times only those count: a read shows in them when the kernel next asks.
func changed(before, after looks, what string, since int64) string {
	now, ok := after[what]
	if !ok {
		return "nothing"
	}
	words := statWords(&now)
	was, ok := before[what]
	if !ok || was.Ino != now.Ino {
		return words + " new"
	}
	at := func(name string, was, now unix.Timespec) {
		switch {
		case now == was:
		case now.Nano() < since:
			words += fmt.Sprintf(" %s %d", name, now.Nano())
		case name != "atime":
			words += " " + name
		}
	}
	at("atime", was.Atim, now.Atim)
	at("mtime", was.Mtim, now.Mtim)
	at("ctime", was.Ctim, now.Ctim)
	return words
}
