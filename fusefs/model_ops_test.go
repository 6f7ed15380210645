package fusefs_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// verb is an operation of the model. Its arguments are, by letter: a path, a slot of a
// handle of a file or of a directory, anything else.
type verb struct {
	args string // p, h, d, and - for the rest
	do   func(s *side, a args) string
}

// verbs are the operations by their names in a program.
var verbs = map[string]verb{
	"open":        {args: "hp--", do: opOpen},
	"close":       {args: "h", do: opClose},
	"linkat":      {args: "hp", do: opLinkat},
	"pwrite":      {args: "h---", do: opPwrite},
	"write":       {args: "h--", do: opWrite},
	"pread":       {args: "h--", do: opPread},
	"ftruncate":   {args: "h-", do: func(s *side, a args) string { return code(unix.Ftruncate(s.fd(a[0]), a.number(1))) }},
	"truncate":    {args: "p-", do: func(s *side, a args) string { return code(unix.Truncate(s.path(a[0]), a.number(1))) }},
	"fallocate":   {args: "h---", do: opFallocate},
	"seek":        {args: "h", do: opSeek},
	"copy":        {args: "hh---", do: opCopy},
	"mwrite":      {args: "h---", do: opMwrite},
	"setacl":      {args: "p----", do: opSetACL},
	"fsync":       {args: "h", do: func(s *side, a args) string { return code(unix.Fsync(s.fd(a[0]))) }},
	"mkdir":       {args: "p-", do: func(s *side, a args) string { return code(unix.Mkdir(s.path(a[0]), a.octal(1))) }},
	"rmdir":       {args: "p", do: func(s *side, a args) string { return code(unix.Rmdir(s.path(a[0]))) }},
	"unlink":      {args: "p", do: func(s *side, a args) string { return code(unix.Unlink(s.path(a[0]))) }},
	"link":        {args: "pp", do: func(s *side, a args) string { return code(unix.Link(s.path(a[0]), s.path(a[1]))) }},
	"symlink":     {args: "-p", do: func(s *side, a args) string { return code(unix.Symlink(unquote(a[0]), s.path(a[1]))) }},
	"readlink":    {args: "p", do: opReadlink},
	"mknod":       {args: "p--", do: opMknod},
	"rename":      {args: "pp-", do: opRename},
	"chmod":       {args: "p-", do: func(s *side, a args) string { return code(unix.Chmod(s.path(a[0]), a.octal(1))) }},
	"fchmod":      {args: "h-", do: func(s *side, a args) string { return code(unix.Fchmod(s.fd(a[0]), a.octal(1))) }},
	"chown":       {args: "p--", do: opChown},
	"fchown":      {args: "h--", do: func(s *side, a args) string { return code(unix.Fchown(s.fd(a[0]), int(a.number(1)), int(a.number(2)))) }},
	"utimens":     {args: "p--", do: opUtimens},
	"futimens":    {args: "h--", do: opFutimens},
	"setxattr":    {args: "p----", do: opSetxattr},
	"fsetxattr":   {args: "h----", do: opFsetxattr},
	"getxattr":    {args: "p-", do: opGetxattr},
	"listxattr":   {args: "p", do: opListxattr},
	"removexattr": {args: "p-", do: func(s *side, a args) string { return code(unix.Lremovexattr(s.path(a[0]), a[1])) }},
	"access":      {args: "p-", do: func(s *side, a args) string { return code(unix.Faccessat(unix.AT_FDCWD, s.path(a[0]), a.octal(1), 0)) }},
	"stat":        {args: "p", do: opStat},
	"ls":          {args: "p", do: opList},
	"umask":       {args: "-", do: opUmask},
	"opendir":     {args: "dp", do: opOpendir},
	"readdir":     {args: "d-", do: opReaddir},
	"rewind":      {args: "d", do: opRewind},
	"readend":     {args: "d", do: opReadEnd},
}

// args are the words of a step behind its verb.
type args []string

func (a args) number(i int) int64 {
	n, err := strconv.ParseInt(a[i], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) octal(i int) uint32 {
	n, err := strconv.ParseUint(a[i], 8, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

// flags adds up words with commas between them.
func (a args) flags(i int, of map[string]int) int {
	sum := 0
	for word := range strings.SplitSeq(a[i], ",") {
		n, ok := of[word]
		if !ok {
			panic("no flag " + word)
		}
		sum |= n
	}
	return sum
}

// unquote reads a word of a program: a name may be quoted as in Go, and @250 is a name of
// so many bytes.
func unquote(word string) string {
	if text, err := strconv.Unquote(word); err == nil {
		return text
	}
	parts := strings.Split(word, "/")
	for i, part := range parts {
		if length, long := strings.CutPrefix(part, "@"); long {
			n, err := strconv.Atoi(length)
			if err != nil {
				panic(err)
			}
			parts[i] = strings.Repeat("n", n)
		}
	}
	return strings.Join(parts, "/")
}

var openFlagNames = map[string]int{
	"rdonly": unix.O_RDONLY, "wronly": unix.O_WRONLY, "rdwr": unix.O_RDWR, "creat": unix.O_CREAT, "excl": unix.O_EXCL,
	"trunc": unix.O_TRUNC, "append": unix.O_APPEND, "nofollow": unix.O_NOFOLLOW, "directory": unix.O_DIRECTORY,
	"tmpfile": unix.O_TMPFILE, "noatime": unix.O_NOATIME, "path": unix.O_PATH,
}

func opOpen(s *side, a args) string {
	path := s.path(a[1])
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && (st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK) {
		return "device" // those of a volume are not opened, on purpose: it is nodev
	}
	fd, err := unix.Open(path, a.flags(2, openFlagNames)|unix.O_NONBLOCK|unix.O_CLOEXEC, a.octal(3))
	if err == nil {
		_ = s.closeFile(a[0]) // there may be none
		s.files[a[0]] = fd
	}
	return code(err)
}

func opClose(s *side, a args) string { return code(s.closeFile(a[0])) }

func opLinkat(s *side, a args) string {
	return code(unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", s.fd(a[0])), unix.AT_FDCWD, s.path(a[1]), unix.AT_SYMLINK_FOLLOW))
}

// pattern are bytes that are not zero and that differ from place to place.
func pattern(size, seed int64) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(1 + (int64(i)*7+seed*31)%251)
	}
	return data
}

func opPwrite(s *side, a args) string {
	n, err := unix.Pwrite(s.fd(a[0]), pattern(a.number(2), a.number(3)), a.number(1))
	return counted(n, err)
}

func opWrite(s *side, a args) string {
	var st unix.Stat_t
	if unix.Fstat(s.fd(a[0]), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		return "fifo" // the kernel writes to it itself, and leaves a filesystem's times alone
	}
	n, err := unix.Write(s.fd(a[0]), pattern(a.number(1), a.number(2)))
	return counted(n, err)
}

func opPread(s *side, a args) string {
	buf := make([]byte, a.number(2))
	n, err := unix.Pread(s.fd(a[0]), buf, a.number(1))
	return counted(n, err) + digest(buf[:max(n, 0)])
}

// opMwrite writes through a mapping.
func opMwrite(s *side, a args) string {
	fd, off, data := s.fd(a[0]), a.number(1), pattern(a.number(2), a.number(3))
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size < off+int64(len(data)) {
		return "not that large"
	}
	pages, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return code(err)
	}
	copy(pages[off:], data)
	return code(must(unix.Msync(pages, unix.MS_SYNC), unix.Munmap(pages)))
}

// opSetACL sets a list of the user, a user, the group, a group, the mask, and others.
func opSetACL(s *side, a args) string {
	var perms [6]uint16
	for i, digit := range a[2] {
		perms[i] = uint16(digit - '0')
	}
	value := aclOf(
		entry{1, perms[0], 0}, entry{2, perms[1], uint32(a.number(3))}, entry{4, perms[2], 0},
		entry{8, perms[3], uint32(a.number(4))}, entry{16, perms[4], 0}, entry{32, perms[5], 0},
	)
	return code(unix.Lsetxattr(s.path(a[0]), "system.posix_acl_"+a[1], value, 0))
}

func counted(n int, err error) string { return fmt.Sprintf("%d %s", max(n, 0), code(err)) }

// digest tells bytes apart in few words.
func digest(data []byte) string { return fmt.Sprintf(" %d:%08x", len(data), crc32.ChecksumIEEE(data)) }

func opFallocate(s *side, a args) string {
	mode := a.flags(1, map[string]int{
		"allocate": 0, "keep": unix.FALLOC_FL_KEEP_SIZE, "punch": unix.FALLOC_FL_PUNCH_HOLE, "zero": unix.FALLOC_FL_ZERO_RANGE,
	})
	return code(unix.Fallocate(s.fd(a[0]), uint32(mode), a.number(2), a.number(3)))
}

// opCopy copies all that there is to copy, in however many calls.
func opCopy(s *side, a args) string {
	from, to, left := a.number(2), a.number(3), int(a.number(4))
	total := 0
	for left > 0 {
		n, err := unix.CopyFileRange(s.fd(a[0]), &from, s.fd(a[1]), &to, left, 0)
		if err != nil || n <= 0 {
			return counted(total, err)
		}
		total, left = total+n, left-n
	}
	return counted(total, nil)
}

func opReadlink(s *side, a args) string {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(s.path(a[0]), buf)
	return code(err) + string(buf[:max(n, 0)])
}

func opMknod(s *side, a args) string {
	kinds := map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "file": unix.S_IFREG, "char": unix.S_IFCHR, "block": unix.S_IFBLK}
	dev := 0
	if a[1] == "char" || a[1] == "block" {
		dev = int(unix.Mkdev(240, 7))
	}
	return code(unix.Mknod(s.path(a[0]), kinds[a[1]]|a.octal(2), dev))
}

func opRename(s *side, a args) string {
	flags := a.flags(2, map[string]int{"plain": 0, "noreplace": unix.RENAME_NOREPLACE, "exchange": unix.RENAME_EXCHANGE})
	return code(unix.Renameat2(unix.AT_FDCWD, s.path(a[0]), unix.AT_FDCWD, s.path(a[1]), uint(flags)))
}

func opChown(s *side, a args) string {
	return code(unix.Lchown(s.path(a[0]), int(a.number(1)), int(a.number(2))))
}

// timespecs reads two times: now, omit, or nanoseconds since 1970.
func timespecs(a []string) []unix.Timespec {
	both := make([]unix.Timespec, 2)
	for i, word := range a[:2] {
		switch word {
		case "now":
			both[i].Nsec = unix.UTIME_NOW
		case "omit":
			both[i].Nsec = unix.UTIME_OMIT
		default:
			ns := args(a).number(i)
			both[i].Sec, both[i].Nsec = ns/1e9, ns%1e9
			if both[i].Nsec < 0 {
				both[i].Sec, both[i].Nsec = both[i].Sec-1, both[i].Nsec+1e9
			}
		}
	}
	return both
}

func opUtimens(s *side, a args) string {
	return code(unix.UtimesNanoAt(unix.AT_FDCWD, s.path(a[0]), timespecs(a[1:]), unix.AT_SYMLINK_NOFOLLOW))
}

func opFutimens(s *side, a args) string {
	// glibc's futimens: a descriptor without a path.
	return code(utimensat(s.fd(a[0]), timespecs(a[1:])))
}

var xattrFlags = map[string]int{"any": 0, "create": unix.XATTR_CREATE, "replace": unix.XATTR_REPLACE}

func opSetxattr(s *side, a args) string {
	return code(unix.Lsetxattr(s.path(a[0]), a[1], pattern(a.number(2), a.number(3)), a.flags(4, xattrFlags)))
}

func opFsetxattr(s *side, a args) string {
	return code(unix.Fsetxattr(s.fd(a[0]), a[1], pattern(a.number(2), a.number(3)), a.flags(4, xattrFlags)))
}

func opGetxattr(s *side, a args) string {
	buf := make([]byte, 4096)
	n, err := unix.Lgetxattr(s.path(a[0]), a[1], buf)
	return code(err) + digest(buf[:max(n, 0)])
}

func opListxattr(s *side, a args) string {
	names, err := xattrNames(s.path(a[0]))
	return code(err) + fmt.Sprintf(" %q", names)
}

// xattrNames are sorted.
func xattrNames(path string) ([]string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	return names, nil
}

func opStat(s *side, a args) string {
	var st unix.Stat_t
	err := unix.Stat(s.path(a[0]), &st)
	return code(err) + " " + statWords(&st)
}

func opList(s *side, a args) string {
	entries, err := os.ReadDir(s.path(a[0]))
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+" "+e.Type().String())
	}
	slices.Sort(names)
	return code(err) + fmt.Sprintf(" %q", names)
}

func opUmask(_ *side, a args) string {
	unix.Umask(int(a.octal(0)))
	return ""
}

// opSeek goes from data to hole to data: where data lies is the filesystem's choice, but
// there is none in a hole.
func opSeek(s *side, a args) string {
	fd := s.fd(a[0])
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "no regular file"
	}
	was, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err != nil {
		return code(err)
	}
	defer func() { _, _ = unix.Seek(fd, was, unix.SEEK_SET) }()
	for off := int64(0); off < st.Size; {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			data, err = st.Size, nil
		}
		if err != nil || data < off {
			return fmt.Sprintf("data behind %d is at %d, %s", off, data, code(err))
		}
		hole := make([]byte, data-off)
		if n, err := unix.Pread(fd, hole, off); err == nil && strings.Trim(string(hole[:n]), "\x00") != "" {
			return fmt.Sprintf("data in the hole from %d to %d", off, data)
		}
		if data == st.Size {
			break
		}
		if off, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil || off <= data {
			return fmt.Sprintf("the hole behind %d is at %d, %s", data, off, code(err))
		}
	}
	_, noData := unix.Seek(fd, st.Size, unix.SEEK_DATA)
	_, noHole := unix.Seek(fd, st.Size, unix.SEEK_HOLE)
	return code(noData) + " " + code(noHole)
}

// path is where a path of the model is on this side.
func (s *side) path(word string) string { return s.dir + "/" + unquote(word) }

// parent is the directory of a path of the model.
func (s *side) parent(word string) string { return filepath.Dir(strings.TrimRight(s.path(word), "/")) }
