package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/index"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// rssMost is how much memory a process may take with a volume of a million files, in bytes.
const rssMost = 300 << 20

// TestMillionFiles opens a volume of a million files, all of which are on this host, and
// walks a part of it: what is kept in memory of each must be little.
func TestMillionFiles(t *testing.T) {
	if os.Getenv("OBJVOL_LARGE") != "1" {
		t.Skip("OBJVOL_LARGE is not 1")
	}
	const dirs, files = 1000, 1000
	dir := t.TempDir()
	million(t, filepath.Join(dir, "index"), dirs, files)
	debug.FreeOSMemory()
	want(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // what the highest was until now
	before := memoryOf(t, "VmRSS")

	begun := time.Now()
	v := open(t, bucketOf(t, memory.Options{}), dir)
	t.Logf("opened in %v, with %d MiB more", time.Since(begun).Round(time.Millisecond), (memoryOf(t, "VmRSS")-before)>>20)
	begun = time.Now()
	seen := 0
	for d := range dirs / 5 {
		names, err := v.names(fmt.Sprintf("d%d", d))
		want(t, err)
		seen += len(names)
		for f := range 20 {
			_, err := v.stat(fmt.Sprintf("d%d/f%d", d, f))
			want(t, err)
		}
	}
	if seen != dirs/5*files {
		t.Errorf("%d names", seen)
	}
	t.Logf("walked %d names in %v", seen, time.Since(begun).Round(time.Millisecond))
	peak, now := memoryOf(t, "VmHWM"), memoryOf(t, "VmRSS")
	t.Logf("memory: %d MiB before, %d at the most, %d at the end", before>>20, peak>>20, now>>20)
	if peak > rssMost {
		t.Errorf("the process took %d MiB", peak>>20)
	}
}

// million makes an index of a root with directories, each of so many files that are clean
// and on this host.
func million(t *testing.T, dir string, dirs, files int) {
	t.Helper()
	x, err := index.Open(dir, index.Options{})
	want(t, err)
	now := time.Now()
	listed := index.Dir{Listed: true, ListedAt: now.Add(time.Hour)}
	want(t, x.Update(func(tx *index.Tx) error {
		return errors.Join(tx.PutMeta("boot", []byte("boot")), tx.PutInode(index.Inode{
			Ino: vfs.Root, Mode: syscall.S_IFDIR | 0o755, Nlink: 1, Mtime: now, Dir: &listed,
		}))
	}))
	for d := range dirs {
		want(t, x.Update(func(tx *index.Tx) error {
			parent, name := tx.NewIno(), fmt.Sprintf("d%d", d)
			errs := []error{
				tx.PutInode(index.Inode{Ino: parent, Mode: syscall.S_IFDIR | 0o755, Nlink: 1, Mtime: now, Dir: &listed}),
				tx.Enter(vfs.Root, name, parent),
			}
			for f := range files {
				ino, key := tx.NewIno(), fmt.Sprintf("v/d%d/f%d", d, f)
				n := index.Inode{
					Ino: ino, Mode: syscall.S_IFREG | 0o644, Nlink: 1, Size: 4096, Mtime: now, Ctime: now, Atime: now,
					Gen: 1, PlacedGen: 1, Placed: key,
				}
				c := index.Content{File: uint64(ino), BaseLen: n.Size}
				c.Fill(0, n.Size)
				errs = append(errs, tx.PutInode(n), tx.Enter(parent, fmt.Sprintf("f%d", f), ino), tx.PutContent(ino, c),
					tx.PutKey(index.Key{Key: key, ETag: fmt.Sprintf("%032x", ino), Size: n.Size, Owner: ino, LastModified: now}))
			}
			return errors.Join(errs...)
		}))
	}
	want(t, x.Close())
}

// memoryOf reads how much memory this process takes, in bytes.
func memoryOf(t *testing.T, what string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	want(t, err)
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == what+":" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
			want(t, err)
			return kib << 10
		}
	}
	t.Fatalf("no %s", what)
	return 0
}
