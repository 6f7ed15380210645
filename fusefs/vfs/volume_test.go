package vfs_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// volume is a filesystem with its state on this host.
type volume struct {
	*vfs.FS
	t     testing.TB
	dir   string
	index *index.Index
}

// handles numbers open files as the kernel does.
var handles atomic.Uint64

var root = vfs.Caller{}

// open opens a filesystem on a bucket, with its local state in dir.
func open(tb testing.TB, bucket objstore.Bucket, dir string, change ...func(*vfs.Config)) *volume {
	tb.Helper()
	lay, err := layout.New("v/")
	if err != nil {
		tb.Fatal(err)
	}
	x, err := index.Open(filepath.Join(dir, "index"), index.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := cache.Open(filepath.Join(dir, "data"))
	if err != nil {
		tb.Fatal(err)
	}
	cfg := vfs.Config{
		Index: x, Cache: c, Bucket: bucket, Layout: lay, Log: slog.New(slog.DiscardHandler),
		Defaults: layout.Defaults{FileMode: 0o644, DirMode: 0o755},
		TTL:      time.Hour, CacheSize: 1 << 30, Host: "here", BootID: "boot",
	}
	for _, fn := range change {
		fn(&cfg)
	}
	fs, err := vfs.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	v := &volume{FS: fs, t: tb, dir: dir, index: x}
	tb.Cleanup(v.close)
	return v
}

// close ends the filesystem, as a crash would: nothing is drained.
func (v *volume) close() {
	if v.index == nil {
		return
	}
	v.Close()
	if err := v.index.Close(); err != nil {
		v.t.Error(err)
	}
	v.index = nil
}

// drain sends everything.
func (v *volume) drain() {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.Drain(ctx); err != nil {
		v.t.Fatal("drain:", err)
	}
}

// at returns the directory and the last name of a path.
func (v *volume) at(path string) (vfs.Ino, string, error) {
	dir, name := filepath.Split(path)
	ino := vfs.Root
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part == "" {
			continue
		}
		e, err := v.Lookup(context.Background(), ino, part)
		if err != nil {
			return 0, "", err
		}
		switch e.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
		case syscall.S_IFLNK:
			return 0, "", vfs.ErrNotExist // the kernel follows it; the model's lead nowhere
		default:
			return 0, "", vfs.ErrNotDir
		}
		ino = e.Ino
	}
	return ino, name, nil
}

func (v *volume) stat(path string) (vfs.Attr, error) {
	dir, name, err := v.at(path)
	if err != nil {
		return vfs.Attr{}, err
	}
	if name == "" {
		a, _, err := v.GetAttr(context.Background(), vfs.Root)
		return a, err
	}
	e, err := v.Lookup(context.Background(), dir, name)
	return e.Attr, err
}

func (v *volume) mkdir(path string, mode uint32) error {
	dir, name, err := v.at(path)
	if err != nil {
		return err
	}
	_, err = v.Mkdir(context.Background(), dir, name, mode, root)
	return err
}

func (v *volume) symlink(target, path string) error {
	dir, name, err := v.at(path)
	if err != nil {
		return err
	}
	_, err = v.Symlink(context.Background(), dir, name, target, root)
	return err
}

func (v *volume) unlink(path string) error {
	dir, name, err := v.at(path)
	if err != nil {
		return err
	}
	return v.Unlink(context.Background(), dir, name)
}

func (v *volume) rmdir(path string) error {
	dir, name, err := v.at(path)
	if err != nil {
		return err
	}
	return v.Rmdir(context.Background(), dir, name)
}

func (v *volume) rename(from, to string) error { return v.renameat2(from, to, 0) }

func (v *volume) renameat2(from, to string, flags uint32) error {
	dir, name, err := v.at(from)
	if err != nil {
		return err
	}
	toDir, toName, err := v.at(to)
	if err != nil {
		return err
	}
	return v.Rename(context.Background(), dir, name, toDir, toName, flags)
}

// open opens a file as open(2) does, creating it if asked to.
func (v *volume) open(path string, flags int, mode uint32) (uint64, error) {
	dir, name, err := v.at(path)
	if err != nil {
		return 0, err
	}
	fh := handles.Add(2)
	e, err := v.Lookup(context.Background(), dir, name)
	if err != nil && flags&syscall.O_CREAT != 0 {
		_, _, err = v.Create(context.Background(), dir, name, mode, uint32(flags), fh, root)
		return fh, err
	}
	if err != nil {
		return 0, err
	}
	switch e.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		return 0, vfs.ErrInvalid
	case syscall.S_IFSOCK:
		return 0, syscall.ENXIO // the kernel's answer
	}
	_, err = v.Open(context.Background(), e.Ino, uint32(flags), fh)
	return fh, err
}

// write writes at an offset of a file that is made if missing.
func (v *volume) write(path string, off int64, data []byte, flags int) error {
	fh, err := v.open(path, flags|syscall.O_WRONLY|syscall.O_CREAT, 0o644)
	if err != nil {
		return err
	}
	defer v.Release(fh)
	if _, err := v.Write(context.Background(), fh, off, data); err != nil {
		return err
	}
	return v.Flush(context.Background(), fh)
}

func (v *volume) read(path string) ([]byte, error) {
	fh, err := v.open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer v.Release(fh)
	return v.readAll(fh)
}

func (v *volume) readAll(fh uint64) ([]byte, error) {
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := v.Read(context.Background(), fh, int64(len(all)), buf)
		if err != nil || n == 0 {
			return all, err
		}
		all = append(all, buf[:n]...)
	}
}

func (v *volume) setattr(path string, set vfs.SetAttr) error {
	a, err := v.stat(path)
	if err != nil {
		return err
	}
	_, _, err = v.SetAttr(context.Background(), a.Ino, set, root)
	return err
}

// names lists a directory.
func (v *volume) names(path string) ([]string, error) {
	a, err := v.stat(path)
	if err != nil {
		return nil, err
	}
	fh := handles.Add(2)
	if err := v.OpenDir(context.Background(), a.Ino, 0, fh); err != nil {
		return nil, err
	}
	defer v.ReleaseDir(fh)
	var names []string
	err = v.ReadDir(context.Background(), fh, 0, true, func(e vfs.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	return names, err
}

// want fails the test on an error.
func want(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// bucketOf makes a bucket in memory that closes nothing.
func bucketOf(t *testing.T, o memory.Options) *memory.Bucket {
	t.Helper()
	return memory.New(o)
}
