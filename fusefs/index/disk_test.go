package index

import (
	"errors"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a file system under test: each function that is set is asked before the
// operation of its name and may refuse it.
type disk struct {
	vfs.FS
	create func(name string) error
	write  func(name string) error
	sync   func(name string) error // answers errSkipped to be left out without an error
	remove func(name string) error

	unlocked bool // locks are not taken
}

var errSkipped = errors.New("skipped")

func ask(f func(string) error, name string) error {
	if f == nil {
		return nil
	}
	return f(path.Base(name))
}

func (d *disk) open(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, path.Base(name)}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := ask(d.create, name); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return d.open(name, f, err)
}

func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := ask(d.create, newname); err != nil {
		return nil, err
	}
	f, err := d.FS.ReuseForWrite(oldname, newname, c)
	return d.open(newname, f, err)
}

func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.Open(name, opts...)
	return d.open(name, f, err)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.open("directory", f, err)
}

func (d *disk) Remove(name string) error {
	if err := ask(d.remove, name); err != nil {
		return err
	}
	return d.FS.Remove(name)
}

func (d *disk) Lock(name string) (io.Closer, error) {
	if d.unlocked {
		return io.NopCloser(nil), nil
	}
	return d.FS.Lock(name)
}

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := ask(f.disk.write, f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *diskFile) Sync() error     { return f.synced(f.File.Sync) }
func (f *diskFile) SyncData() error { return f.synced(f.File.SyncData) }

func (f *diskFile) synced(sync func() error) error {
	err := ask(f.disk.sync, f.name)
	if err == nil {
		return sync()
	}
	if errors.Is(err, errSkipped) {
		return nil
	}
	return err
}

func isTable(name string) bool    { return strings.HasSuffix(name, ".sst") }
func isManifest(name string) bool { return strings.HasPrefix(name, "MANIFEST") }

// openTest opens an index in a directory of the test's own and closes it at its end.
func openTest(tb testing.TB) *Index {
	tb.Helper()
	x, err := Open(tb.TempDir(), Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := x.Close(); err != nil {
			tb.Error(err)
		}
	})
	return x
}

// update runs a transaction that must be kept.
func update(tb testing.TB, x *Index, fn func(tx *Tx) error) {
	tb.Helper()
	if err := x.Update(fn); err != nil {
		tb.Fatal(err)
	}
}
