package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// expect compares an error with an errno; 0 is success.
func expect(what string, err error, want syscall.Errno) error {
	if want == 0 && err == nil || want != 0 && errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%s: got %w, want %q", what, err, want.Error())
}

// holds compares a file with what it should hold.
func holds(path string, want string) error {
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%s holds %.80q, want %.80q", path, got, want)
	}
	return nil
}

// must ends a case at its first error.
func must(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func contents(dir string) error {
	path := filepath.Join(dir, "f")
	if err := must(
		os.WriteFile(path, nil, 0o640), holds(path, ""),
		os.WriteFile(path, []byte("one"), 0o600), holds(path, "one"),
	); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() != 3 || info.Mode() != 0o640 {
		return fmt.Errorf("got %d bytes, mode %o", info.Size(), info.Mode())
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("X"), 10)
	if err := must(err, holds(path, "one\x00\x00\x00\x00\x00\x00\x00X")); err != nil {
		return err
	}
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 8); n != 3 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("read over the end: %d, %w", n, err)
	}
	if n, err := f.ReadAt(buf, 100); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("read behind the end: %d, %w", n, err)
	}
	return f.Close()
}

func appendToFile(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("a"), 0o644); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err1 := f.WriteString("b")
	_, err2 := f.Seek(0, io.SeekStart)
	_, err3 := f.WriteString("c")
	return must(err1, err2, err3, f.Close(), holds(path, "abc"))
}

func truncates(dir string) error {
	path := filepath.Join(dir, "f")
	if err := must(
		os.WriteFile(path, []byte("0123456789"), 0o644),
		os.Truncate(path, 4), holds(path, "0123"),
		os.Truncate(path, 6), holds(path, "0123\x00\x00"),
	); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err1 := f.WriteAt([]byte("xy"), 2)
	return must(err1, f.Truncate(3), holds(path, "01x"), f.Truncate(0), holds(path, ""), f.Close())
}

func openFlags(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		return err
	}
	open := func(flags int) error {
		f, err := os.OpenFile(path, flags, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	}
	return must(
		expect("O_CREAT|O_EXCL", open(os.O_WRONLY|os.O_CREATE|os.O_EXCL), syscall.EEXIST),
		holds(path, "old"),
		open(os.O_WRONLY|os.O_TRUNC), holds(path, ""),
		os.WriteFile(path, []byte("again"), 0o644),
		open(os.O_RDWR|os.O_CREATE|os.O_TRUNC), holds(path, ""),
		expect("O_DIRECTORY", open(unix.O_DIRECTORY), syscall.ENOTDIR),
		os.Remove(path),
		expect("no such file", open(os.O_RDONLY), syscall.ENOENT),
		open(os.O_RDWR|os.O_CREATE|os.O_EXCL), holds(path, ""),
	)
}

func syncs(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	_, err = f.WriteString("durable")
	if err := must(err, f.Sync(), unix.Fdatasync(int(f.Fd())), f.Close()); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return must(d.Sync(), d.Close())
}

// largeFile compares 64 MiB, written in order and then changed in places, with a copy in
// memory: by read(2) of odd sizes at odd places, and through a mapping.
func largeFile(dir string) error {
	const size = 64 << 20
	random := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, size)
	fill(random, want)
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		return err
	}
	for at := 0; at < size; {
		n := min(1+random.IntN(3<<20), size-at)
		if _, err := f.WriteAt(want[at:at+n], int64(at)); err != nil {
			return err
		}
		at += n
	}
	for range 300 {
		at := random.IntN(size)
		n := min(1+random.IntN(200<<10), size-at)
		fill(random, want[at:at+n])
		if _, err := f.WriteAt(want[at:at+n], int64(at)); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}

	f, err = os.Open(f.Name())
	if err != nil {
		return err
	}
	buf := make([]byte, 2<<20)
	for range 300 {
		at := random.IntN(size)
		n := min(1+random.IntN(len(buf)), size-at)
		if _, err := f.ReadAt(buf[:n], int64(at)); err != nil {
			return err
		}
		if !bytes.Equal(buf[:n], want[at:at+n]) {
			return fmt.Errorf("%d bytes at %d differ", n, at)
		}
	}
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if !bytes.Equal(m, want) {
		return errors.New("the mapping differs")
	}
	return must(unix.Munmap(m), f.Close())
}

func fill(random *rand.Rand, b []byte) {
	for len(b) >= 8 {
		v := random.Uint64()
		for i := range 8 {
			b[i] = byte(v >> (8 * i))
		}
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// mapped stores through a shared mapping; the file has it after msync, also after the
// descriptor is closed.
func mapped(dir string) error {
	path := filepath.Join(dir, "f")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	page := strings.Repeat("-", 8192)
	if _, err := f.WriteString(page); err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, len(page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(m[4090:], "across a page")
	want := page[:4090] + "across a page" + page[4090+len("across a page"):]
	if err := must(unix.Msync(m, unix.MS_SYNC), holds(path, want), f.Close()); err != nil {
		return err
	}
	m[0] = '+'
	return must(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m), holds(path, "+"+want[1:]))
}

func unlinkedOpen(dir string) error {
	path := filepath.Join(dir, "f")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err1 := f.WriteString("still ")
	err2 := os.Remove(path)
	_, err3 := f.WriteString("here")
	if err := must(err1, err2, err3, os.WriteFile(path, []byte("new"), 0o644)); err != nil {
		return err
	}
	buf := make([]byte, 10)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "still here" {
		return fmt.Errorf("got %q, %w", buf, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 || st.Size != 10 {
		return fmt.Errorf("fstat: %w, %d names, %d bytes", err, st.Nlink, st.Size)
	}
	return must(f.Truncate(1), f.Close(), holds(path, "new"))
}

// Lines of a size that does not divide a page, so that overlapping appends would show.
const (
	appenders = 6
	lines     = 300
	lineSize  = 77
)

// appendLines is run by several processes at once.
func appendLines(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	for i := range lines {
		line := fmt.Sprintf("%d %d ", os.Getpid(), i)
		line += strings.Repeat(".", lineSize-1-len(line)) + "\n"
		if _, err := f.WriteString(line); err != nil {
			return err
		}
	}
	return f.Close()
}

func checkLines(dir string) error {
	all, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	next := map[int]int{}
	for line := range strings.Lines(string(all)) {
		var pid, i int
		if _, err := fmt.Sscanf(line, "%d %d", &pid, &i); err != nil || len(line) != lineSize || i != next[pid] {
			return fmt.Errorf("line %d of %d is %q", next[pid], pid, line)
		}
		next[pid]++
	}
	if len(all) != appenders*lines*lineSize || len(next) != appenders {
		return fmt.Errorf("%d bytes of %d processes", len(all), len(next))
	}
	return nil
}

// writeAndRead reads what it wrote, after it wrote to another page of the file.
func writeAndRead(dir string) error {
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	for i := range 5 {
		at := int64(i) * 4096
		copy(data[at:], strings.Repeat(string(rune('A'+i)), 4096))
		var st unix.Stat_t
		if i == 0 {
			_, err = f.WriteAt(data, 0)
		} else {
			_, err = f.WriteAt(data[at:at+4096], at)
		}
		if err := errors.Join(err, unix.Fstat(int(f.Fd()), &st)); err != nil {
			return err
		}
		got := make([]byte, len(data))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("read other bytes, %w", err)
		}
	}
	return f.Close()
}
