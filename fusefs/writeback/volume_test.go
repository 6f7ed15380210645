package writeback_test

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// volume is a filesystem on a bucket in memory, with its state on this host. Its tests
// run in a bubble of time, so that no pause takes any.
type volume struct {
	*vfs.FS
	t      *testing.T
	bucket objstore.Bucket
	dir    string
	index  *index.Index
	cache  *index.Cache
	boots  int
	next   atomic.Uint64 // the last file handle
	change []func(*vfs.Config)
}

// patience bounds what a test waits for.
const patience = time.Hour

// bubble runs a test on a volume at the prefix "v/" of a bucket, in a bubble of time.
func bubble(t *testing.T, bucket objstore.Bucket, test func(v *volume), change ...func(*vfs.Config)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		v := &volume{t: t, bucket: bucket, dir: dir, change: change}
		v.open()
		defer v.close()
		test(v)
	})
}

// open opens the filesystem. Each time is another boot: what is clean is not local.
func (v *volume) open() {
	v.t.Helper()
	v.boots++
	lay, err := layout.New("v")
	v.must(err)
	v.cache = index.NewCache(1 << 20)
	v.index, err = index.Open(filepath.Join(v.dir, "index"), index.Options{Cache: v.cache})
	v.must(err)
	c, err := cache.Open(filepath.Join(v.dir, "data"))
	v.must(err)
	cfg := vfs.Config{
		Index: v.index, Cache: c, Bucket: v.bucket, Layout: lay, Log: slog.New(slog.DiscardHandler),
		Defaults: layout.Defaults{FileMode: 0o644, DirMode: 0o755},
		TTL:      10 * patience, CacheSize: 1 << 30, Host: "here", BootID: strconv.Itoa(v.boots),
	}
	for _, fn := range v.change {
		fn(&cfg)
	}
	v.FS, err = vfs.New(v.t.Context(), cfg)
	v.must(err)
}

// close ends the filesystem as a crash does: nothing is drained.
func (v *volume) close() {
	v.Close()
	v.must(v.index.Close())
	v.cache.Close()
}

func (v *volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) drain() {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	defer cancel()
	v.must(v.Drain(ctx))
}

// at returns the directory and the last name of a path.
func (v *volume) at(p string) (vfs.Ino, string) {
	v.t.Helper()
	dir, name := path.Split(p)
	ino := vfs.Root
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part != "" {
			e, err := v.Lookup(v.t.Context(), ino, part)
			v.must(err)
			ino = e.Ino
		}
	}
	return ino, name
}

func (v *volume) stat(p string) (vfs.Attr, error) {
	v.t.Helper()
	dir, name := v.at(p)
	e, err := v.Lookup(v.t.Context(), dir, name)
	return e.Attr, err
}

// openFile opens a file, which is made if it is missing.
func (v *volume) openFile(p string, flags int) uint64 {
	v.t.Helper()
	dir, name := v.at(p)
	fh := v.next.Add(1)
	e, err := v.Lookup(v.t.Context(), dir, name)
	if errors.Is(err, vfs.ErrNotExist) {
		_, _, err = v.Create(v.t.Context(), dir, name, 0o644, uint32(flags|syscall.O_CREAT|syscall.O_RDWR), fh, vfs.Caller{})
	} else if err == nil {
		_, err = v.Open(v.t.Context(), e.Ino, uint32(flags|syscall.O_RDWR), fh)
	}
	v.must(err)
	return fh
}

// write gives a file a content.
func (v *volume) write(p, content string) {
	v.t.Helper()
	fh := v.openFile(p, syscall.O_TRUNC)
	defer v.Release(fh)
	_, err := v.Write(v.t.Context(), fh, 0, []byte(content))
	v.must(err)
}

func (v *volume) read(p string) string {
	v.t.Helper()
	a, err := v.stat(p)
	v.must(err)
	fh := v.openFile(p, 0)
	defer v.Release(fh)
	buf := make([]byte, a.Size+1)
	n, err := v.Read(v.t.Context(), fh, 0, buf)
	v.must(err)
	return string(buf[:n])
}

func (v *volume) mkdir(p string) {
	v.t.Helper()
	dir, name := v.at(p)
	_, err := v.Mkdir(v.t.Context(), dir, name, 0o755, vfs.Caller{})
	v.must(err)
}

func (v *volume) unlink(p string) {
	v.t.Helper()
	dir, name := v.at(p)
	v.must(v.Unlink(v.t.Context(), dir, name))
}

func (v *volume) link(from, to string) {
	v.t.Helper()
	a, err := v.stat(from)
	v.must(err)
	dir, name := v.at(to)
	_, err = v.Link(v.t.Context(), a.Ino, dir, name)
	v.must(err)
}

func (v *volume) rmdir(p string) {
	v.t.Helper()
	dir, name := v.at(p)
	v.must(v.Rmdir(v.t.Context(), dir, name))
}

func (v *volume) rename(from, to string) {
	v.t.Helper()
	dir, name := v.at(from)
	toDir, toName := v.at(to)
	v.must(v.Rename(v.t.Context(), dir, name, toDir, toName, 0))
}

func (v *volume) chmod(p string, mode uint32) {
	v.t.Helper()
	a, err := v.stat(p)
	v.must(err)
	_, _, err = v.SetAttr(v.t.Context(), a.Ino, vfs.SetAttr{Mode: &mode}, vfs.Caller{})
	v.must(err)
}

// fsync syncs a file.
func (v *volume) fsync(p string) error {
	v.t.Helper()
	fh := v.openFile(p, 0)
	defer v.Release(fh)
	return v.Fsync(v.t.Context(), fh, false)
}

// names lists a directory.
func (v *volume) names(p string) []string {
	v.t.Helper()
	ino := vfs.Root
	if p != "" {
		a, err := v.stat(p)
		v.must(err)
		ino = a.Ino
	}
	fh := v.next.Add(1)
	v.must(v.OpenDir(v.t.Context(), ino, 0, fh))
	defer v.ReleaseDir(fh)
	var names []string
	v.must(v.ReadDir(v.t.Context(), fh, 0, true, func(e vfs.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	}))
	return names
}

// content returns the bytes of a key, and whether there is an object.
func content(b *memory.Bucket, key string) (string, bool) {
	stored, ok := b.Snapshot()[key]
	return string(stored.Data), ok
}

// keys returns how many objects a bucket has whose keys begin with a prefix.
func keys(b *memory.Bucket, prefix string) []string {
	var all []string
	for key := range b.Snapshot() {
		if strings.HasPrefix(key, prefix) {
			all = append(all, key)
		}
	}
	return all
}
