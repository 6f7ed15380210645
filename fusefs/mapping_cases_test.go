package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// mappedPrivately keeps what is stored through a private mapping from the file, and shows
// a shared one what write(2) writes, also after the name is gone.
func mappedPrivately(dir string) error {
	f, err := newFile(dir, "f", "a")
	if err != nil {
		return err
	}
	const both = unix.PROT_READ | unix.PROT_WRITE
	private, err1 := unix.Mmap(int(f.Fd()), 0, block, both, unix.MAP_PRIVATE)
	shared, err2 := unix.Mmap(int(f.Fd()), 0, block, both, unix.MAP_SHARED)
	if err := must(err1, err2); err != nil {
		return err
	}
	private[0] = 'p'
	shared[1] = 's'
	_, err1 = f.WriteAt([]byte("w"), 2)
	at := make([]byte, 4)
	_, err2 = f.ReadAt(at, 0)
	if err := must(err1, err2, unix.Msync(private, unix.MS_SYNC)); err != nil {
		return err
	}
	if string(at) != "aswa" || string(private[:4]) != "pswa" && private[0] != 'p' || string(shared[:4]) != "aswa" {
		return fmt.Errorf("the file holds %q, the mappings %q and %q", at, private[:4], shared[:4])
	}
	if err := must(os.Remove(f.Name()), f.Close()); err != nil {
		return err
	}
	shared[3] = 'x'
	if err := unix.Msync(shared, unix.MS_SYNC); err != nil || string(shared[:4]) != "aswx" {
		return fmt.Errorf("without a name: %q, %w", shared[:4], err)
	}
	return must(unix.Munmap(private), unix.Munmap(shared))
}

// followed writes to a new file, which was opened for that alone, while others read it and
// have it mapped, shared by those who store into the same page: each sees all at once.
func followed(dir string) error {
	path := filepath.Join(dir, "log")
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	var all []byte
	put := func(off int, data string) error {
		_, err := w.WriteAt([]byte(data), int64(off))
		all = append(all, make([]byte, max(0, off+len(data)-len(all)))...)
		copy(all[off:], data)
		return err
	}
	if err := put(0, "begin"); err != nil {
		return err
	}
	r, err1 := os.Open(path)
	rw, err2 := os.OpenFile(path, os.O_RDWR, 0)
	if err := must(err1, err2); err != nil {
		return err
	}
	const length = 8 * block
	seen, err1 := unix.Mmap(int(r.Fd()), 0, length, unix.PROT_READ, unix.MAP_SHARED)
	stored, err2 := unix.Mmap(int(rw.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := must(err1, err2); err != nil {
		return err
	}
	for i := range 60 {
		off := len(all)
		if i%3 == 0 {
			off = i * 7
		}
		if err := put(off, fmt.Sprintf("%d:%s", i, strings.Repeat("x", i*13%500))); err != nil {
			return err
		}
		all[i], stored[i] = 's', 's'
		got := make([]byte, length)
		for _, from := range []*os.File{r, rw} {
			if n, err := from.ReadAt(got, 0); !errors.Is(err, io.EOF) || string(got[:n]) != string(all) {
				return fmt.Errorf("after write %d at %d, %d bytes of %d are read, or others, %w", i, off, n, len(all), err)
			}
		}
		if string(seen[:len(all)]) != string(all) || string(stored[:len(all)]) != string(all) {
			return fmt.Errorf("after write %d at %d the mappings show something else", i, off)
		}
	}
	if err := must(unix.Munmap(seen), unix.Munmap(stored), r.Close(), rw.Close(), w.Close()); err != nil {
		return err
	}
	return holds(path, string(all))
}

// allTheTime does each of some things over and over again, all side by side, until stop is
// called.
func allTheTime(things ...func(i int)) (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for _, do := range things {
		all.Go(func() {
			for i := 0; !over.Load(); i++ {
				do(i)
			}
		})
	}
	return func() {
		over.Store(true)
		all.Wait()
	}
}

// followedAllTheTime appends to a file that was large before, through a handle that was opened
// for that alone, while others read its end, have it mapped and look at its size all the time:
// what write(2) has written all of them show when it returns.
func followedAllTheTime(dir string) error {
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o644); err != nil {
		return err
	}
	w, err1 := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0)
	r, err2 := os.Open(path)
	if err := must(err1, err2); err != nil {
		return err
	}
	const length, writes = 256 * block, 3000
	seen, err := unix.Mmap(int(r.Fd()), 0, length, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	var end atomic.Int64
	page := make([]byte, 2*block)
	stop := allTheTime( // for what the kernel remembers of it
		func(int) { _, _ = r.ReadAt(page, max(0, end.Load()-block)) },
		func(int) { _, _ = os.Stat(path) },
		func(int) { _, _ = os.ReadDir(dir) },
	)
	check := func(i int, from int64, data []byte) error {
		got := make([]byte, len(data))
		if _, err := r.ReadAt(got, from); err != nil {
			return fmt.Errorf("write %d at %d: %w", i, from, err)
		}
		if !bytes.Equal(got, data) {
			return fmt.Errorf("write %d at %d: read otherwise", i, from)
		}
		if !bytes.Equal(seen[from:from+int64(len(data))], data) {
			return fmt.Errorf("write %d at %d: mapped otherwise", i, from)
		}
		return nil
	}
	for i := range writes {
		data := bytes.Repeat([]byte{byte(1 + i%255)}, 1+rand.IntN(600))
		from := end.Load()
		if from+int64(len(data)) > length {
			break
		}
		if _, err = w.Write(data); err == nil {
			end.Add(int64(len(data)))
			err = check(i, from, data)
		}
		if err != nil {
			break
		}
	}
	stop()
	return must(err, unix.Munmap(seen), r.Close(), w.Close())
}

// storedAllTheTime writes to a few pages through a handle that was opened for that alone, while
// others store into the beginning of each through a mapping, and have that written back, all
// the time: what write(2) has written stays.
func storedAllTheTime(dir string) error {
	const pages, begin, writes = 4, 64, 1000
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o644); err != nil {
		return err
	}
	w, err1 := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	rw, err2 := os.OpenFile(path, os.O_RDWR, 0)
	if err := must(err1, err2, w.Truncate(pages*block)); err != nil {
		return err
	}
	stored, err := unix.Mmap(int(rw.Fd()), 0, pages*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	stop := allTheTime(
		func(i int) { stored[i%pages*block+i%begin]++ },
		func(int) { _ = unix.SyncFileRange(int(rw.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) },
	)
	for i := range writes {
		page := i % pages
		data := bytes.Repeat([]byte{byte(1 + i%255)}, block-begin)
		if _, err = w.WriteAt(data, int64(page*block+begin)); err != nil {
			break
		}
		got := make([]byte, len(data))
		if _, err = rw.ReadAt(got, int64(page*block+begin)); err != nil {
			break
		}
		if !bytes.Equal(got, data) {
			err = fmt.Errorf("write %d is undone: %d instead of %d", i, got[0], data[0])
			break
		}
	}
	stop()
	return must(err, unix.Munmap(stored), rw.Close(), w.Close())
}

// copyProgram copies a program of this machine.
func copyProgram(name, to string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(to, all, 0o755)
}

// executes runs a program, a script and a setuid program; one that runs is not written to.
func executes(dir string) error {
	cat, script := filepath.Join(dir, "cat"), filepath.Join(dir, "script")
	if err := must(copyProgram("cat", cat), os.WriteFile(script, []byte("#!/bin/sh\necho \"$1 and $(id -u)\"\n"), 0o644)); err != nil {
		return err
	}
	err := exec.Command(script).Run()
	if err := must(expect("without permission", err, syscall.EACCES), os.Chmod(script, 0o755)); err != nil {
		return err
	}
	out, err := exec.Command(script, "here").Output()
	if err != nil || string(out) != "here and 0\n" {
		return fmt.Errorf("the script says %q, %w", out, err)
	}
	cmd := exec.Command(cat)
	in, err1 := cmd.StdinPipe()
	result, err2 := cmd.StdoutPipe()
	if err := must(err1, err2, cmd.Start()); err != nil {
		return err
	}
	_, err1 = io.WriteString(in, "it runs")
	echo := make([]byte, 7)
	_, err2 = io.ReadFull(result, echo)
	_, busy := os.OpenFile(cat, os.O_WRONLY, 0)
	return must(err1, err2, expect("write to a running program", busy, syscall.ETXTBSY),
		in.Close(), cmd.Wait(), os.WriteFile(cat, echo, 0o755), holds(cat, "it runs"))
}

// exclusive is run by several processes at once: each name is made by one of them.
func exclusive(dir string) error {
	wins := []string{}
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprint(i))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		wins = append(wins, filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("won-%d", os.Getpid())), []byte(strings.Join(wins, " ")), 0o644)
}

func checkExclusive(dir string) error {
	all, err := filepath.Glob(filepath.Join(dir, "won-*"))
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, name := range all {
		won, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(string(won)) {
			count[name]++
		}
	}
	for name, n := range count {
		if n != 1 {
			return fmt.Errorf("%s was made %d times", name, n)
		}
	}
	if len(count) != 200 {
		return fmt.Errorf("%d names were made", len(count))
	}
	return nil
}
