package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// large is the size, in bytes, of the files of these cases.
const large = 1 << 20

// resident makes a file of n bytes b, which is whole on this host and closed.
func resident(dir, name string, b byte, n int) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, bytes.Repeat([]byte{b}, n), 0o644)
}

// passedThrough reads, writes, appends to and maps a file by two handles at once, of which
// the one that only reads was there first.
func passedThrough(dir string) error {
	path, err := resident(dir, "f", 'a', large)
	if err != nil {
		return err
	}
	r, err1 := os.Open(path)
	w, err2 := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err := must(err1, err2); err != nil {
		return err
	}
	buf := make([]byte, 2)
	_, err1 = w.WriteString("zz")
	_, err2 = r.ReadAt(buf, large)
	if err := must(err1, err2); err != nil || string(buf) != "zz" {
		return fmt.Errorf("read %q, %w", buf, err)
	}
	at, err := r.Stat()
	if err != nil || at.Size() != large+2 {
		return fmt.Errorf("the size is %d, %w", at.Size(), err)
	}
	if old := time.Since(at.ModTime()); old > time.Minute {
		return fmt.Errorf("the file is %v old", old)
	}
	mapped, err := unix.Mmap(int(w.Fd()), 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(mapped[4096:], "mapped")
	buf = make([]byte, 6)
	if _, err := r.ReadAt(buf, 4096); err != nil || string(buf) != "mapped" {
		return fmt.Errorf("read %q, %w", buf, err)
	}
	// What is not resident or not ours any more would be zeros, or a SIGBUS.
	if err := must(r.Truncate(0)); !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("truncate a file open for reading: %w", err)
	}
	if err := must(w.Truncate(3*large), w.Sync(), w.Close()); err != nil {
		return err
	}
	all, err := io.ReadAll(io.NewSectionReader(r, 0, 4*large))
	want := bytes.Repeat([]byte{'a'}, large)
	copy(want[4096:], "mapped")
	want = append(want, "zz"...)
	want = append(want, make([]byte, 2*large-2)...)
	if err != nil || !bytes.Equal(all, want) {
		return fmt.Errorf("%d bytes, %w", len(all), err)
	}
	return must(unix.Munmap(mapped), r.Close(), os.Truncate(path, 5), holds(path, "aaaaa"))
}

// mappedTimes sees the times and the size of what was stored through a mapping, also if
// they were asked for before (hard-cases 20).
func mappedTimes(dir string) error {
	path, err := resident(dir, "f", 'a', large)
	if err != nil {
		return err
	}
	old := time.Unix(1_000_000_000, 0)
	f, err1 := os.OpenFile(path, os.O_RDWR, 0)
	if err := must(err1, os.Chtimes(path, old, old)); err != nil {
		return err
	}
	mapped, err1 := unix.Mmap(int(f.Fd()), 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	before, err2 := os.Stat(path)
	if err := must(err1, err2); err != nil || !before.ModTime().Equal(old) {
		return fmt.Errorf("before: %v, %w", before.ModTime(), err)
	}
	mapped[0] = 'b'
	if err := unix.Msync(mapped, unix.MS_SYNC); err != nil {
		return err
	}
	after, err := os.Stat(path)
	if err != nil || time.Since(after.ModTime()) > time.Minute {
		return fmt.Errorf("after msync: %v, %w", after.ModTime(), err)
	}
	return must(unix.Munmap(mapped), f.Close())
}

// pagesOfBefore are not shown after a file was written to behind them. The file is passed
// where it has the size large, and not where it is shorter.
func pagesOfBefore(dir string) error {
	path, err := resident(dir, "f", 'a', large-1)
	if err != nil {
		return err
	}
	want := bytes.Repeat([]byte("a"), large)
	for i := range 4 {
		// Mediated, by two handles, and with the kernel's pages.
		for range 2 {
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, want[:large-1]) {
				return fmt.Errorf("round %d: %.8q, %w", i, got, err)
			}
		}
		if err := os.Truncate(path, large); err != nil {
			return err
		}
		// Passed.
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		want[i] = 'b'
		_, err = w.WriteAt(want[:i+1], 0)
		if err := must(err, w.Close(), os.Truncate(path, large-1)); err != nil {
			return err
		}
	}
	return nil
}

// unlinkedPassed goes on with a file that is renamed over, and with its mapping when it is
// closed too.
func unlinkedPassed(dir string) error {
	path, err1 := resident(dir, "f", 'a', large)
	other, err2 := resident(dir, "g", 'g', large)
	f, err3 := os.OpenFile(path, os.O_RDWR, 0)
	if err := must(err1, err2, err3, os.Link(path, path+".link"), os.Rename(other, path), os.Remove(path+".link")); err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	_, err1 = f.WriteAt([]byte("b"), 0)
	if err := must(err1, f.Sync(), f.Close()); err != nil {
		return err
	}
	mapped[1] = 'c'
	if string(mapped[:3]) != "bca" {
		return fmt.Errorf("the mapping is %q", mapped[:3])
	}
	return must(unix.Munmap(mapped), holds(path, string(bytes.Repeat([]byte{'g'}, large))))
}

// linkedPassed writes to one name of a file and reads another.
func linkedPassed(dir string) error {
	path, err := resident(dir, "f", 'a', large)
	if err := must(err, os.Link(path, path+".2")); err != nil {
		return err
	}
	w, err1 := os.OpenFile(path, os.O_WRONLY, 0)
	r, err2 := os.Open(path + ".2")
	if err := must(err1, err2); err != nil {
		return err
	}
	buf := make([]byte, 3)
	_, err1 = w.WriteAt([]byte("new"), large)
	_, err2 = r.ReadAt(buf, large)
	if err := must(err1, err2, w.Sync(), w.Close(), r.Close()); err != nil || string(buf) != "new" {
		return fmt.Errorf("%q, %w", buf, err)
	}
	return nil
}

// directPassed writes and reads with O_DIRECT.
func directPassed(dir string) error {
	path, err := resident(dir, "f", 'a', large)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil // not on this file system
	}
	if err != nil {
		return err
	}
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	copy(page, "direct")
	_, err1 := unix.Pwrite(fd, page, 8192)
	if err := must(err1, unix.Fsync(fd), unix.Close(fd)); err != nil {
		return err
	}
	all, err := os.ReadFile(path)
	if err != nil || string(all[8192:8198]) != "direct" {
		return fmt.Errorf("%q, %w", all[8192:8198], err)
	}
	return unix.Munmap(page)
}

// The steps below are one process: it says by files beside the mount how far it is, and
// waits for those that tell it to go on.

// step says that a step was done, and waits for the next.
func step(dir, done, next string) error {
	if err := os.WriteFile(dir+"."+done, nil, 0o600); err != nil || next == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := os.Stat(dir + "." + next); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nobody said %s", next)
}

// readF brings a file to this host.
func readF(dir string) error {
	_, err := os.ReadFile(filepath.Join(dir, "f"))
	return err
}

// readG reads a file whose pages suffice, as no access time is due.
func readG(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "g"), unix.O_NOATIME, 0)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(got, bytes.Repeat([]byte{'g'}, large)) {
		err = fmt.Errorf("%d bytes, or others", len(got))
	}
	return must(err, f.Close())
}

// changeALittle adds one to a byte in the middle of a large file, and one to the last after
// an fsync.
func changeALittle(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	for _, at := range []int64{st.Size() / 2, st.Size() - 1} {
		b := make([]byte, 1)
		_, err1 := f.ReadAt(b, at)
		b[0]++
		_, err2 := f.WriteAt(b, at)
		if err := must(err1, err2); err != nil {
			return err
		}
		if at == st.Size()/2 {
			err = f.Sync()
		}
	}
	return must(err, f.Close())
}

// listAll looks at everything in the directory.
func listAll(dir string) error {
	all, err := os.ReadDir(dir)
	for _, e := range all {
		_, ierr := e.Info()
		err = errors.Join(err, ierr)
	}
	return err
}

// writtenByDriver writes to a file that is open for reading, and reads it there.
func writtenByDriver(dir string) error {
	path, err := resident(dir, "w", 'a', large)
	if err != nil {
		return err
	}
	r, err1 := os.Open(path)
	w, err2 := os.OpenFile(path, os.O_RDWR, 0)
	if err := must(err1, err2); err != nil {
		return err
	}
	seen, err1 := unix.Mmap(int(r.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	_, err2 = w.WriteAt([]byte("yes"), 0)
	_, err3 := w.WriteAt([]byte("end"), large)
	if err := must(err1, err2, err3); err != nil {
		return err
	}
	buf := make([]byte, 3)
	_, err1 = r.ReadAt(buf, large)
	at, err2 := r.Stat()
	if err := must(err1, err2); err != nil || string(seen[:3]) != "yes" || string(buf) != "end" || at.Size() != large+3 {
		return fmt.Errorf("the mapping has %q, the end is %q at %d, %w", seen[:3], buf, at.Size(), err)
	}
	return must(unix.Munmap(seen), w.Sync(), w.Close(), r.Close())
}

// writeG takes space of the cache.
func writeG(dir string) error {
	_, err := resident(dir, "g", 'g', large)
	return err
}

// mapAndStore stores through a mapping when its file is closed and sent, and once more.
func mapAndStore(dir string) error {
	path := filepath.Join(dir, "f")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := must(err, f.Close()); err != nil {
		return err
	}
	if err := step(dir, "mapped", "store"); err != nil {
		return err
	}
	if !slices.Equal(mapped[:4], []byte("aaaa")) {
		return fmt.Errorf("the mapping is %q after an eviction", mapped[:4])
	}
	mapped[0] = '1'
	if err := step(dir, "stored", "again"); err != nil {
		return err
	}
	mapped[1], mapped[large-1] = '2', '2'
	if err := step(dir, "stored-again", "end"); err != nil {
		return err
	}
	return must(unix.Munmap(mapped), step(dir, "ended", ""))
}

// mapToRead keeps a mapping that only reads.
func mapToRead(dir string) error {
	f, err := os.Open(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, large, unix.PROT_READ, unix.MAP_SHARED)
	if err := must(err, f.Close(), step(dir, "mapped", "look")); err != nil {
		return err
	}
	if !bytes.Equal(mapped, bytes.Repeat([]byte{'a'}, large)) {
		return errors.New("the mapping changed")
	}
	return must(unix.Munmap(mapped), step(dir, "ended", ""))
}

// writeAndHold writes to a file that it keeps open, and ends without a close of its own.
func writeAndHold(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("held"), 100)
	if err := must(err, step(dir, "written", "go on")); err != nil {
		return err
	}
	// The process that served it is gone; the content file is still ours.
	_, err = f.WriteAt([]byte("more"), 200)
	return must(err, step(dir, "written more", "end"))
}
