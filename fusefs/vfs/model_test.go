package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// model is a local directory on which everything is done that is done on the volume.
type model struct {
	dir string
}

func (m model) path(p string) string { return filepath.Join(m.dir, p) }

// errnoOf is the errno of a vfs error, as far as the model compares them.
func errnoOf(err error) error {
	for from, to := range map[error]syscall.Errno{
		vfs.ErrNotExist: syscall.ENOENT, vfs.ErrExist: syscall.EEXIST, vfs.ErrNotDir: syscall.ENOTDIR,
		vfs.ErrIsDir: syscall.EISDIR, vfs.ErrNotEmpty: syscall.ENOTEMPTY, vfs.ErrInvalid: syscall.EINVAL,
		vfs.ErrNotPermitted: syscall.EPERM,
	} {
		if errors.Is(err, from) {
			return to
		}
	}
	return err
}

// step is one operation on both.
type step struct {
	name string
	vol  func(v *volume) error
	loc  func(m model) error
}

// randomStep draws an operation on few names, so that they meet often.
func randomStep(r *rand.Rand) step {
	path := func() string {
		depth := 1 + r.IntN(3)
		parts := make([]string, depth)
		for i := range parts {
			parts[i] = string(rune('a' + r.IntN(3)))
		}
		return strings.Join(parts, "/")
	}
	p, q := path(), path()
	switch r.IntN(17) {
	case 0, 1:
		return step{
			"mkdir " + p, func(v *volume) error { return v.mkdir(p, 0o755) },
			func(m model) error { return syscall.Mkdir(m.path(p), 0o755) },
		}
	case 2, 3, 4:
		data := bytes.Repeat([]byte{byte('A' + r.IntN(26))}, 1+r.IntN(9000))
		off, flags := int64(0), 0
		switch r.IntN(3) {
		case 0:
			off = int64(r.IntN(20000))
		case 1:
			flags = syscall.O_TRUNC
		}
		return step{
			fmt.Sprintf("write %s %d+%d flags %o", p, off, len(data), flags),
			func(v *volume) error { return v.write(p, off, data, flags) },
			func(m model) error { return writeLocal(m.path(p), off, data, flags) },
		}
	case 5:
		size := int64(r.IntN(12000))
		return step{
			fmt.Sprintf("truncate %s %d", p, size),
			func(v *volume) error { return v.setattr(p, vfs.SetAttr{Size: &size}) },
			func(m model) error { return truncateLocal(m.path(p), size) },
		}
	case 6:
		return step{
			"unlink " + p, func(v *volume) error { return v.unlink(p) },
			func(m model) error { return syscall.Unlink(m.path(p)) },
		}
	case 7:
		return step{
			"rmdir " + p, func(v *volume) error { return v.rmdir(p) },
			func(m model) error { return syscall.Rmdir(m.path(p)) },
		}
	case 8, 9:
		return step{
			"rename " + p + " " + q, func(v *volume) error { return v.rename(p, q) },
			func(m model) error { return syscall.Rename(m.path(p), m.path(q)) },
		}
	case 10, 11:
		return step{
			"link " + p + " " + q, func(v *volume) error { return v.link(p, q) },
			func(m model) error { return syscall.Link(m.path(p), m.path(q)) },
		}
	case 12:
		return step{
			"symlink " + p, func(v *volume) error { return v.symlink("to/"+q, p) },
			func(m model) error { return syscall.Symlink("to/"+q, m.path(p)) },
		}
	case 13, 14:
		flags := []uint32{unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE, unix.RENAME_EXCHANGE}[r.IntN(3)]
		return step{
			fmt.Sprintf("rename %s %s flags %d", p, q, flags), func(v *volume) error { return v.renameat2(p, q, flags) },
			func(m model) error {
				return unix.Renameat2(unix.AT_FDCWD, m.path(p), unix.AT_FDCWD, m.path(q), uint(flags))
			},
		}
	case 15:
		return step{
			"mknod " + p, func(v *volume) error { return v.mknod(p, syscall.S_IFSOCK|0o600, 0) },
			func(m model) error { return syscall.Mknod(m.path(p), syscall.S_IFSOCK|0o600, 0) },
		}
	default:
		mode, uid, gid := uint32(r.IntN(0o1000)), uint32(r.IntN(3)), uint32(r.IntN(3))
		at := time.Unix(1e9+int64(r.IntN(1e6)), int64(r.IntN(1e9)))
		return step{
			fmt.Sprintf("attributes %s %o", p, mode),
			func(v *volume) error {
				return v.setattr(p, vfs.SetAttr{Mode: &mode, UID: &uid, GID: &gid, Mtime: &at, Atime: &at})
			},
			func(m model) error { return attributesLocal(m.path(p), mode, int(uid), int(gid), at) },
		}
	}
}

func writeLocal(path string, off int64, data []byte, flags int) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_NOFOLLOW|flags, 0o644)
	if errors.Is(err, syscall.ELOOP) {
		return syscall.EINVAL
	}
	if err != nil {
		return err
	}
	_, err = syscall.Pwrite(fd, data, off)
	return errors.Join(err, syscall.Close(fd))
}

func truncateLocal(path string, size int64) error {
	info, err := os.Lstat(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return syscall.EINVAL
	}
	return syscall.Truncate(path, size)
}

// attributesLocal sets attributes; a symlink has no mode of its own.
func attributesLocal(path string, mode uint32, uid, gid int, at time.Time) error {
	info, err := os.Lstat(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return nil
	}
	return errors.Join(syscall.Chmod(path, mode), os.Chtimes(path, at, at))
}

// facts are what must be the same of every name.
type facts struct {
	mode     uint32
	uid, gid uint32
	nlink    uint64
	size     int64
	content  string
	mtime    time.Time // compared between two states of the volume only
	links    uint32
	same     string // the first of all names of the file
}

// sameNames tells each name with which others it is a file. Names come in any order.
func sameNames(all map[string]facts, inodes map[string]uint64) {
	first := make(map[uint64]string)
	for path, ino := range inodes {
		if other, ok := first[ino]; !ok || path < other {
			first[ino] = path
		}
	}
	for path, ino := range inodes {
		f := all[path]
		f.same = first[ino]
		all[path] = f
	}
}

// tree reads all of a volume.
func (v *volume) tree() map[string]facts {
	v.t.Helper()
	all, inodes := make(map[string]facts), make(map[string]uint64)
	var walk func(dir string)
	walk = func(dir string) {
		names, err := v.names(dir)
		if err != nil {
			v.t.Fatalf("read directory %q: %v", dir, err)
		}
		for _, name := range names {
			path := strings.TrimPrefix(dir+"/"+name, "/")
			if _, twice := all[path]; twice {
				v.t.Errorf("%q is listed twice", path)
			}
			a, err := v.stat(path)
			if err != nil {
				v.t.Fatalf("stat %q: %v", path, err)
			}
			inodes[path] = uint64(a.Ino)
			f := facts{mode: a.Mode, uid: a.UID, gid: a.GID, nlink: uint64(a.Nlink), size: a.Size, mtime: a.Mtime}
			switch a.Mode & syscall.S_IFMT {
			case syscall.S_IFDIR:
				f.size, f.links = 0, 0
				walk(path)
				if a, err = v.stat(path); err != nil { // it is listed now
					v.t.Fatalf("stat %q: %v", path, err)
				}
				f.nlink = uint64(a.Nlink)
			case syscall.S_IFSOCK:
			case syscall.S_IFLNK:
				f.mode |= 0o777
				f.content, err = v.Readlink(v.t.Context(), a.Ino)
			default:
				var data []byte
				data, err = v.read(path)
				f.content = string(data)
			}
			if err != nil {
				v.t.Fatalf("read %q: %v", path, err)
			}
			all[path] = f
		}
	}
	walk("")
	sameNames(all, inodes)
	return all
}

func (m model) tree(t *testing.T) map[string]facts {
	t.Helper()
	all, inodes := make(map[string]facts), make(map[string]uint64)
	err := filepath.WalkDir(m.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		f := facts{mode: st.Mode, uid: st.Uid, gid: st.Gid, nlink: st.Nlink, size: st.Size}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			f.size = 0
		case syscall.S_IFSOCK:
		case syscall.S_IFLNK:
			f.content, err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			f.content = string(data)
		}
		rel, _ := filepath.Rel(m.dir, path)
		all[rel], inodes[rel] = f, st.Ino
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sameNames(all, inodes)
	return all
}

// compare reports the differences of two trees.
func compare(t *testing.T, what string, got, want map[string]facts, times bool) {
	t.Helper()
	var paths []string
	for p := range got {
		paths = append(paths, p)
	}
	for p := range want {
		if _, ok := got[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		g, inGot := got[p]
		w, inWant := want[p]
		switch {
		case !inGot:
			t.Errorf("%s: %q is missing", what, p)
		case !inWant:
			t.Errorf("%s: %q should not be there", what, p)
		case g.mode != w.mode || g.uid != w.uid || g.gid != w.gid || g.size != w.size:
			t.Errorf("%s: %q is %o %d:%d %d bytes, want %o %d:%d %d bytes", what, p, g.mode, g.uid, g.gid, g.size, w.mode, w.uid, w.gid, w.size)
		case g.nlink != w.nlink || g.same != w.same:
			t.Errorf("%s: %q has %d links and is %q, want %d and %q", what, p, g.nlink, g.same, w.nlink, w.same)
		case g.content != w.content:
			t.Errorf("%s: the content of %q differs", what, p)
		case times && !g.mtime.Equal(w.mtime):
			t.Errorf("%s: %q has mtime %v, want %v", what, p, g.mtime, w.mtime)
		}
	}
}

// TestModel does the same random operations on a volume and on a local directory: the
// results and the trees are the same, and so is the tree after everything local is gone.
func TestModel(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	stores := map[string]memory.Options{
		"full":  {},
		"files": {Without: objstore.Capabilities{FileAndDirectory: true, ListMetadata: true}},
		"poor":  {Without: objstore.Capabilities{ListMetadata: true, CopyPart: true, ConditionalDelete: true}},
	}
	for name, opts := range stores {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				// Keys rest after a restart; nobody need wait for it.
				synctest.Test(t, func(t *testing.T) { runModel(t, opts, seed) })
			})
		}
	}
}

func runModel(t *testing.T, opts memory.Options, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	bucket := bucketOf(t, opts)
	dir := t.TempDir()
	v := open(t, bucket, dir)
	m := model{t.TempDir()}
	var log []string
	for i := range 250 {
		s := randomStep(r)
		got, want := errnoOf(s.vol(v)), s.loc(m)
		log = append(log, fmt.Sprintf("%s: %v", s.name, want))
		if fmt.Sprint(got) != fmt.Sprint(want) && !alike(got, want) {
			t.Fatalf("%s: got %v, want %v\nafter\n%s", s.name, got, want, strings.Join(log, "\n"))
		}
		switch r.IntN(60) {
		case 0:
			v.drain()
		case 1: // a crash: the state on this host goes on
			v.close()
			v = open(t, bucket, dir)
		case 2: // the host is lost, after everything was sent
			v.drain()
			v.close()
			dir = t.TempDir()
			v = open(t, bucket, dir)
		}
		if t.Failed() {
			t.Fatal(i)
		}
	}
	compare(t, "volume", v.tree(), m.tree(t), false)
	v.drain()
	before := v.tree()
	compare(t, "drained", before, m.tree(t), false)
	v.drain() // reading changes nothing
	v.close()
	after := open(t, bucket, t.TempDir())
	defer after.close()
	compare(t, "elsewhere", after.tree(), before, true)
	if left := bucket.Uploads(); len(left) > 0 {
		t.Errorf("unfinished uploads are left: %v", left)
	}
	if t.Failed() {
		t.Log(strings.Join(log, "\n"))
	}
}

// alike forgives where the kernel, not the filesystem, chooses among several errors that
// are right.
func alike(got, want error) bool {
	either := func(a, b syscall.Errno) bool {
		return errors.Is(got, a) && errors.Is(want, b) || errors.Is(got, b) && errors.Is(want, a)
	}
	return either(syscall.ENOTEMPTY, syscall.EEXIST) || either(syscall.EISDIR, syscall.EEXIST) ||
		either(syscall.EINVAL, syscall.ENOTEMPTY) || either(syscall.EINVAL, syscall.EEXIST) || either(syscall.EISDIR, syscall.ENOTEMPTY) ||
		either(syscall.ENOTDIR, syscall.EINVAL)
}
