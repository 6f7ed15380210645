package fusefs_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// entry is one of an access control list: its tag, permissions, and whose it is.
type entry struct {
	tag, perm uint16
	id        uint32
}

// aclOf is the value of an attribute with a list.
func aclOf(entries ...entry) []byte {
	raw := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		if e.tag != 2 && e.tag != 8 {
			e.id = 1<<32 - 1
		}
		raw = binary.LittleEndian.AppendUint16(raw, e.tag)
		raw = binary.LittleEndian.AppendUint16(raw, e.perm)
		raw = binary.LittleEndian.AppendUint32(raw, e.id)
	}
	return raw
}

// accessControlLists does the same random things to lists, modes and new files in the
// mount and on the local disk.
func accessControlLists(dir string) error {
	seed := uint64(time.Now().UnixNano())
	err := same(dir, func(dir string) []string { return aclScript(dir, rand.New(rand.NewPCG(seed, 0))) })
	if err != nil {
		err = fmt.Errorf("seed %d: %w", seed, err)
	}
	return err
}

func aclScript(dir string, random *rand.Rand) []string {
	defer unix.Umask(unix.Umask(0))
	var lines []string
	dirs, files := []string{"."}, []string{"."}
	at := func(names []string) string { return filepath.Join(dir, names[random.IntN(len(names))]) }
	for i := range 600 {
		mode, path := random.Uint32N(0o10000), at(files)
		name := fmt.Sprintf("%s/%d", at(dirs), i)
		relative, _ := filepath.Rel(dir, name)
		var what string
		var err error
		unix.Umask(int(random.Uint32N(0o1000)))
		switch act := random.IntN(12); act {
		case 0, 1, 2:
			what, err = "access list", unix.Setxattr(path, accessACL, randomACL(random), 0)
		case 3, 4:
			what, err = "default list", unix.Setxattr(path, defaultACL, randomACL(random), 0)
		case 5:
			what, err = "remove access", unix.Removexattr(path, accessACL)
		case 6:
			what, err = "remove default", unix.Removexattr(path, defaultACL)
		case 7:
			what, err = "chmod", unix.Chmod(path, mode)
		case 8:
			what, err = "chown", unix.Chown(path, int(mode%3), int(mode%5))
		case 9:
			what, err, path = "mkdir", unix.Mkdir(name, mode), name
			dirs, files = append(dirs, relative), append(files, relative)
		case 10:
			what, err, path = "mknod", unix.Mknod(name, unix.S_IFIFO|mode, 0), name
			files = append(files, relative)
		case 11:
			var fd int
			fd, err = unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, mode)
			what, err, path = "create", must(err, unix.Close(fd)), name
			files = append(files, relative)
		}
		var st unix.Stat_t
		statErr := unix.Stat(path, &st)
		relative, _ = filepath.Rel(dir, path)
		lines = append(lines, fmt.Sprintf("%d: %s %s %o: %v; mode %o of %d:%d, %v; %s %s; %s", i, what, relative, mode, err,
			st.Mode, st.Uid, st.Gid, statErr, getXattr(path, accessACL), getXattr(path, defaultACL), listXattr(path)))
	}
	return append(lines, unnamedScript(dir, random))
}

// unnamedScript says what a file without a name inherits.
func unnamedScript(dir string, random *rand.Rand) string {
	d := filepath.Join(dir, "d")
	err := must(os.Mkdir(d, 0o700), unix.Setxattr(d, defaultACL, randomACL(random), 0))
	fd, openErr := unix.Open(d, unix.O_TMPFILE|unix.O_RDWR, 0o666)
	if openErr != nil {
		return openErr.Error()
	}
	var st unix.Stat_t
	value := make([]byte, 4096)
	statErr := unix.Fstat(fd, &st)
	n, getErr := unix.Fgetxattr(fd, accessACL, value)
	return fmt.Sprintf("%v; mode %o, %v; %q, %v; %v", err, st.Mode, statErr, value[:max(n, 0)], getErr, unix.Close(fd))
}

// randomACL is a list, seldom a broken one, often one that says no more than a mode.
func randomACL(random *rand.Rand) []byte {
	perm := func() uint16 { return uint16(random.UintN(8)) }
	entries := []entry{{tag: 1, perm: perm()}}
	named := uint32(0)
	for range random.IntN(3) {
		entries, named = append(entries, entry{2, perm(), named}), named+1
	}
	entries = append(entries, entry{tag: 4, perm: perm()})
	for range random.IntN(3) {
		entries, named = append(entries, entry{8, perm(), named}), named+1
	}
	if named > 0 || random.IntN(3) == 0 {
		entries = append(entries, entry{tag: 16, perm: perm()})
	}
	entries = append(entries, entry{tag: 32, perm: perm()})
	if random.IntN(20) == 0 {
		entries = entries[1:]
	}
	return aclOf(entries...)
}

// aclPrepare makes files that lists open and close for another user.
func aclPrepare(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	list := func(name string, user, mask uint16) error {
		return unix.Setxattr(at(name), accessACL, aclOf(entry{tag: 1, perm: 7}, entry{2, user, other}, entry{tag: 4}, entry{tag: 16, perm: mask}, entry{tag: 32}), 0)
	}
	return must(
		os.Chmod(dir, 0o755),
		os.WriteFile(at("allowed"), []byte("allowed"), 0o600), list("allowed", 4, 7),
		os.WriteFile(at("masked"), nil, 0o600), list("masked", 7, 0), has(at("masked"), 0o700, 0, 0),
		os.WriteFile(at("removed"), nil, 0o600), list("removed", 7, 7), unix.Removexattr(at("removed"), accessACL),
		os.WriteFile(at("chmodded"), nil, 0o600), list("chmodded", 7, 7), os.Chmod(at("chmodded"), 0o700),
		os.WriteFile(at("denied"), nil, 0o666), unix.Chmod(at("denied"), 0o666),
		unix.Setxattr(at("denied"), accessACL, aclOf(entry{tag: 1, perm: 6}, entry{2, 0, other}, entry{tag: 4, perm: 6}, entry{tag: 16, perm: 6}, entry{tag: 32, perm: 6}), 0),
		os.Mkdir(at("searched"), 0o700), os.WriteFile(at("searched/f"), []byte("f"), 0o644), list("searched", 1, 7),
		os.WriteFile(at("setgid"), nil, 0o600), os.Chown(at("setgid"), other, 0), unix.Chmod(at("setgid"), 0o2770),
		unix.Setxattr(at("allowed"), "trusted.a", nil, 0),
	)
}

func aclOther(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) error { _, err := os.ReadFile(at(name)); return err }
	list := aclOf(entry{tag: 1, perm: 7}, entry{2, 7, 1}, entry{tag: 4, perm: 5}, entry{tag: 16, perm: 7}, entry{tag: 32})
	if names := listXattr(at("allowed")); names != accessACL {
		return fmt.Errorf("another user sees the attributes %s", names)
	}
	return must(
		holds(at("allowed"), "allowed"), expect("write what is readable", unix.Access(at("allowed"), unix.W_OK), unix.EACCES),
		expect("read behind a mask", read("masked"), unix.EACCES),
		expect("read without the list", read("removed"), unix.EACCES),
		expect("read after chmod", read("chmodded"), unix.EACCES),
		expect("read what all others may", read("denied"), unix.EACCES),
		holds(at("searched/f"), "f"), expect("list what is searchable", lists(at("searched")), unix.EACCES),
		// The owner is not in the group, so the list costs setgid.
		unix.Setxattr(at("setgid"), accessACL, list, 0), has(at("setgid"), 0o770, other, 0),
		expect("set another's list", unix.Setxattr(at("allowed"), accessACL, list, 0), unix.EPERM),
		expect("set a trusted attribute", unix.Setxattr(at("setgid"), "trusted.a", nil, 0), unix.EPERM),
	)
}
