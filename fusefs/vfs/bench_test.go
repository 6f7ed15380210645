package vfs_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// What operations cost without the kernel and with all of it on this host: names that were
// listed, content that was read.

// listed is a volume of one directory with so many names, all of them known.
func listed(b *testing.B, names int) (v *volume, dir vfs.Ino) {
	b.Helper()
	bucket := memory.New(memory.Options{})
	bucket.Set("v/d0/", nil, objstore.Attributes{})
	fill(bucket, 1, names)
	v = open(b, bucket, b.TempDir())
	_, err := v.names("d0")
	want(b, err)
	a, err := v.stat("d0")
	want(b, err)
	b.ReportAllocs()
	return v, a.Ino
}

// BenchmarkLookup is what a name costs that the kernel asks for, and forgets.
func BenchmarkLookup(b *testing.B) {
	const names = 10_000
	v, dir := listed(b, names)
	for i := 0; b.Loop(); i++ {
		e, err := v.Lookup(context.Background(), dir, fmt.Sprintf("f%d", i*7919%names))
		want(b, err)
		v.Forget(e.Ino, 1)
	}
}

// BenchmarkReadDir is what ls -l costs of 1,000 names.
func BenchmarkReadDir(b *testing.B) {
	v, dir := listed(b, 1000)
	for b.Loop() {
		fh := handles.Add(2)
		want(b, v.OpenDir(context.Background(), dir, 0, fh))
		err := v.ReadDir(context.Background(), fh, 0, true, func(e vfs.DirEntry) bool {
			if e.Entry != nil {
				v.Forget(e.Ino, 1)
			}
			return true
		})
		want(b, err)
		v.ReleaseDir(fh)
	}
}

// BenchmarkCreate is what a new file of 4 KiB costs until its close, while those before it
// are sent to a store that takes no time.
func BenchmarkCreate(b *testing.B) {
	v, dir := listed(b, 0)
	data := make([]byte, 4<<10)
	for i := 0; b.Loop(); i++ {
		fh := handles.Add(2)
		e, _, err := v.Create(context.Background(), dir, fmt.Sprintf("f%d", i), 0o644, syscall.O_WRONLY|syscall.O_CREAT, fh, root)
		if err == nil {
			_, err = v.Write(context.Background(), fh, 0, data)
		}
		if err == nil {
			err = v.Flush(context.Background(), fh)
		}
		want(b, err)
		v.Release(fh)
		v.Forget(e.Ino, 1)
	}
}

// BenchmarkLink is what a file costs that gets its name as git gives one: made under
// another, linked, and unlinked from that.
func BenchmarkLink(b *testing.B) {
	v, dir := listed(b, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fh := handles.Add(2)
		e, _, err := v.Create(context.Background(), dir, "made", 0o644, syscall.O_WRONLY|syscall.O_CREAT, fh, root)
		want(b, err)
		_, err = v.Link(context.Background(), e.Ino, dir, fmt.Sprintf("f%d", i))
		want(b, err)
		_, _, err = v.GetAttr(context.Background(), e.Ino)
		want(b, err)
		want(b, v.Unlink(context.Background(), dir, "made"))
		v.Release(fh)
		v.Forget(e.Ino, 2)
	}
}

// BenchmarkInPlace is what 4 KiB cost of a file that comes to us and is all on this host.
func BenchmarkInPlace(b *testing.B) {
	const pages = 256
	v, _ := listed(b, 0)
	data := make([]byte, 4<<10)
	want(b, v.write("file", 0, make([]byte, pages*len(data)), 0))
	fh, err := v.open("file", syscall.O_RDWR, 0)
	want(b, err)
	defer v.Release(fh)
	run := func(name string, do func(ctx context.Context, fh uint64, off int64, data []byte) (int, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := do(context.Background(), fh, int64(i*37%pages*len(data)), data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("read", v.Read)
	run("write", v.Write)
}

// BenchmarkTransaction is what a transaction of a database with a rollback journal costs, each
// of its four fsyncs waited for, with a store that takes no time.
func BenchmarkTransaction(b *testing.B) {
	ctx := context.Background()
	v, dir := listed(b, 0)
	page := make([]byte, 4<<10)
	want(b, v.write("d0/database", 0, make([]byte, 4*len(page)), 0))
	database, err := v.open("d0/database", syscall.O_RDWR, 0)
	want(b, err)
	defer v.Release(database)
	entries := handles.Add(2)
	want(b, v.OpenDir(ctx, dir, 0, entries))
	defer v.ReleaseDir(entries)
	write := func(fh uint64, off int64, data []byte) {
		_, err := v.Write(ctx, fh, off, data)
		want(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		journal := handles.Add(2)
		e, _, err := v.Create(ctx, dir, "database-journal", 0o644, syscall.O_RDWR|syscall.O_CREAT, journal, root)
		want(b, err)
		write(journal, 0, page[:512])
		for off := int64(512); off < 8<<10; off += 4104 {
			write(journal, off, page[:4])
			write(journal, off+4, page)
			write(journal, off+4100, page[:4])
		}
		want(b, v.Fsync(ctx, journal, true))
		want(b, v.FsyncDir(ctx, entries))
		write(journal, 0, page[:12])
		want(b, v.Fsync(ctx, journal, true))
		write(database, 0, page)
		write(database, int64(3*len(page)), page)
		want(b, v.Fsync(ctx, database, true))
		want(b, v.Flush(ctx, journal))
		v.Release(journal)
		want(b, v.Unlink(ctx, dir, "database-journal"))
		v.Forget(e.Ino, 1)
	}
}
