package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// block is a size that every local disk gives out space in.
const block = 64 << 10

// takes compares a file's size and the space that it takes, in bytes.
func takes(f *os.File, size, space int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Size != size || st.Blocks*512 != space {
		return fmt.Errorf("%s: got %d bytes in %d, want %d in %d", f.Name(), st.Size, st.Blocks*512, size, space)
	}
	return nil
}

// blocksHold compares the blocks of a file: each is full of one letter, or of zeros for
// '0', and those of a hole, which '.' is, are zeros that lseek(2) finds as a hole.
func blocksHold(f *os.File, want string) error {
	all := make([]byte, len(want)*block)
	if n, err := f.ReadAt(all, 0); n != len(all) {
		return fmt.Errorf("%d bytes of %d: %w", n, len(all), err)
	}
	for i, c := range []byte(want) {
		fill := c
		if c == '.' || c == '0' {
			fill = 0
		}
		if !bytes.Equal(all[i*block:(i+1)*block], bytes.Repeat([]byte{fill}, block)) {
			return fmt.Errorf("block %d of %s holds %q", i, want, all[i*block])
		}
		hole, err := unix.Seek(int(f.Fd()), int64(i)*block, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("SEEK_HOLE: %w", err)
		}
		if c != '0' && (c == '.') != (hole == int64(i)*block) {
			return fmt.Errorf("block %d of %s: hole at %d", i, want, hole)
		}
	}
	return nil
}

func newFile(dir, name string, blocks string) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	for i, c := range []byte(blocks) {
		if _, err := f.WriteAt(bytes.Repeat([]byte{c}, block), int64(i)*block); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// The modes of fallocate(2).
const (
	keepSize  = unix.FALLOC_FL_KEEP_SIZE
	punchHole = unix.FALLOC_FL_PUNCH_HOLE | keepSize
	zeroRange = unix.FALLOC_FL_ZERO_RANGE
)

func fallocates(dir string) error {
	f, err := newFile(dir, "f", "abcd")
	if err != nil {
		return err
	}
	fallocate := func(mode uint32, first, count int64) error {
		return unix.Fallocate(int(f.Fd()), mode, first*block, count*block)
	}
	if err := must(
		fallocate(punchHole, 1, 2), blocksHold(f, "a..d"), takes(f, 4*block, 2*block),
		fallocate(0, 2, 3), blocksHold(f, "a.0d0"), takes(f, 5*block, 4*block),
		fallocate(zeroRange, 0, 1), blocksHold(f, "0.0d0"), takes(f, 5*block, 4*block),
		fallocate(keepSize, 5, 2), blocksHold(f, "0.0d0"), takes(f, 5*block, 6*block),
		fallocate(punchHole, 4, 9), blocksHold(f, "0.0d."), takes(f, 5*block, 3*block),
		fallocate(zeroRange, 5, 1), blocksHold(f, "0.0d.0"), takes(f, 6*block, 4*block),
		fallocate(zeroRange|keepSize, 3, 5), blocksHold(f, "0.00.0"[:3]), takes(f, 6*block, 7*block),
		f.Truncate(0), takes(f, 0, 0), f.Truncate(2*block), blocksHold(f, ".."), takes(f, 2*block, 0),
	); err != nil {
		return err
	}
	// Not only whole blocks.
	if _, err := f.WriteAt([]byte("0123456789"), 0); err != nil {
		return err
	}
	fd := int(f.Fd())
	return must(
		f.Truncate(10), unix.Fallocate(fd, punchHole, 2, 3), holds(f.Name(), "01\x00\x00\x0056789"),
		unix.Fallocate(fd, zeroRange, 9, 3), holds(f.Name(), "01\x00\x00\x005678\x00\x00\x00"),
		unix.Fallocate(fd, 0, 0, 14), holds(f.Name(), "01\x00\x00\x005678\x00\x00\x00\x00\x00"), f.Close(),
	)
}

// fallocateRefuses compares what ext4 answers to what cannot be.
func fallocateRefuses(dir string) error {
	f, err := newFile(dir, "f", "ab")
	if err != nil {
		return err
	}
	r, err1 := os.Open(f.Name())
	d, err2 := os.Open(dir)
	if err := must(err1, err2); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		return err
	}
	on := func(f *os.File, mode uint32, off, n int64) error { return unix.Fallocate(int(f.Fd()), mode, off, n) }
	return must(
		expect("collapse", on(f, unix.FALLOC_FL_COLLAPSE_RANGE, 0, block), syscall.EOPNOTSUPP),
		expect("insert", on(f, unix.FALLOC_FL_INSERT_RANGE, 0, block), syscall.EOPNOTSUPP),
		expect("unshare", on(f, unix.FALLOC_FL_UNSHARE_RANGE, 0, block), syscall.EOPNOTSUPP),
		expect("punch without keep-size", on(f, unix.FALLOC_FL_PUNCH_HOLE, 0, block), syscall.EOPNOTSUPP),
		expect("punch and zero", on(f, punchHole|zeroRange, 0, block), syscall.EOPNOTSUPP),
		expect("no bytes", on(f, 0, 0, 0), syscall.EINVAL),
		expect("negative offset", on(f, 0, -1, block), syscall.EINVAL),
		expect("too far", on(f, 0, 1<<62, block), syscall.EFBIG),
		expect("more than the disk has", on(f, 0, 0, 40<<40), syscall.ENOSPC),
		expect("for reading only", on(r, 0, 0, block), syscall.EBADF),
		expect("directory", on(d, 0, 0, block), syscall.EBADF),
		takes(f, 2*block, 2*block), blocksHold(f, "ab"),
		unix.Close(pipe[0]), unix.Close(pipe[1]), r.Close(), d.Close(), f.Close(),
	)
}

// sparse writes where no disk reaches, and finds the bytes again. Nobody closes the file
// before it is small again: its object would have the zeros too.
func sparse(dir string) error {
	const far = 1 << 40
	f, err := newFile(dir, "f", "a")
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	_, err1 := f.WriteAt(bytes.Repeat([]byte("z"), block), far)
	at := make([]byte, 2*block)
	_, err2 := f.ReadAt(at, far-block)
	data, err3 := unix.Seek(fd, block, unix.SEEK_DATA)
	hole, err4 := unix.Seek(fd, 0, unix.SEEK_HOLE)
	end, err5 := unix.Seek(fd, far, unix.SEEK_HOLE)
	if err := must(err1, err2, err3, err4, err5, takes(f, far+block, 2*block)); err != nil {
		return err
	}
	if at[block-1] != 0 || at[block] != 'z' || data != far || hole != block || end != far+block {
		return fmt.Errorf("read %q and %q; data at %d, holes at %d and %d", at[block-1], at[block], data, hole, end)
	}
	_, err = unix.Seek(fd, far+block, unix.SEEK_DATA)
	_, err1 = unix.Seek(fd, -1, unix.SEEK_DATA)
	_, err2 = f.WriteAt([]byte("x"), 1<<62)
	return must(
		expect("SEEK_DATA at the end", err, syscall.ENXIO), expect("SEEK_DATA before the file", err1, syscall.ENXIO),
		expect("write beyond what an object can hold", err2, syscall.EFBIG),
		expect("truncate beyond it", f.Truncate(1<<62), syscall.EFBIG),
		unix.Fallocate(fd, punchHole, block, far), takes(f, far+block, block),
		f.Truncate(2*block), blocksHold(f, "a."), takes(f, 2*block, block),
		f.Truncate(10), holds(f.Name(), "aaaaaaaaaa"), f.Close(),
	)
}

// copies copies ranges inside the filesystem: between files and within one.
func copies(dir string) error {
	f, err1 := newFile(dir, "f", "abcd")
	g, err2 := newFile(dir, "g", "xyz")
	if err := must(err1, err2, unix.Fallocate(int(f.Fd()), punchHole, block, block)); err != nil {
		return err
	}
	move := func(from *os.File, off int64, to *os.File, at, n int64, want int) error {
		off, at = off*block, at*block
		got, err := unix.CopyFileRange(int(from.Fd()), &off, int(to.Fd()), &at, int(n*block), 0)
		if err == nil && got != want*block {
			err = fmt.Errorf("copied %d bytes, want %d blocks", got, want)
		}
		return err
	}
	if err := must(
		move(f, 0, g, 1, 3, 3), blocksHold(g, "xa0c"),
		move(f, 3, g, 0, 9, 1), blocksHold(g, "da0c"),
		move(f, 4, g, 0, 1, 0), blocksHold(g, "da0c"),
		move(g, 0, g, 2, 2, 2), blocksHold(g, "dada"),
		move(g, 3, g, 5, 1, 1), blocksHold(g, "dada.a"),
		expect("overlapping", move(g, 0, g, 1, 2, 0), syscall.EINVAL),
		blocksHold(f, "a.cd"), takes(f, 4*block, 3*block), f.Close(),
	); err != nil {
		return err
	}
	f, err1 = os.Open(f.Name())
	h, err2 := os.OpenFile(filepath.Join(dir, "h"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return must(err1, err2,
		expect("to a file for reading", move(g, 0, f, 0, 1, 0), syscall.EBADF),
		expect("from a file for writing", move(h, 0, g, 0, 1, 0), syscall.EBADF),
		expect("to a file for appending", move(f, 0, h, 0, 1, 0), syscall.EBADF),
		f.Close(), g.Close(), h.Close())
}

// direct reads and writes past the page cache.
func direct(dir string) error {
	path := filepath.Join(dir, "f")
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT, 0o644)
	if err != nil {
		return err
	}
	// A mapping begins at a page, as O_DIRECT wants of a buffer.
	buf, err := unix.Mmap(-1, 0, 2*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	copy(buf, bytes.Repeat([]byte("d"), block))
	_, err1 := unix.Pwrite(fd, buf[:block], block)
	_, err2 := unix.Pread(fd, buf[block:], block)
	if err := must(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(buf[:block], buf[block:]) {
		return errors.New("what was read is not what was written")
	}
	// Beside a cached reader, each sees what the other wrote.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := blocksHold(f, ".d"); err != nil {
		return err
	}
	copy(buf, bytes.Repeat([]byte("e"), block))
	_, err1 = unix.Pwrite(fd, buf[:block], block)
	if err := must(err1, blocksHold(f, ".e")); err != nil {
		return err
	}
	_, err1 = f.WriteAt(bytes.Repeat([]byte("f"), block), 0)
	_, err2 = unix.Pread(fd, buf[:block], 0)
	if buf[0] != 'f' || buf[block-1] != 'f' {
		return fmt.Errorf("O_DIRECT read %q", buf[0])
	}
	return must(err1, err2, f.Close(), unix.Munmap(buf), unix.Close(fd))
}
