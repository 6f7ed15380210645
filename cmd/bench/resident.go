package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// shape is a way to use a file whose content is all local.
type shape struct {
	Size   int64 // bytes of the file
	Block  int   // bytes of one read or write
	Write  bool
	Random bool
	Mapped bool // by a mapping, page by page
}

// trio is what a shape made of a local file, of one on the floor and of one on a mount, in
// turns of the three: operations per second.
type trio struct{ Local, Floor, Mount float64 }

// A trio is made of many short turns, so that what the machine does beside it falls on all.
//
// Two files that were made alike are not alike in memory: which pages and which buffers one
// got makes it up to half as fast again as the other, for as long as they stay. So each trio
// has pages of its own: all are dropped and read from the disk again, another file first
// each time. What is left of it in the median is in the spread.
const (
	turnTime = 25 * time.Millisecond
	turns    = 9 // of each of the three, in a trio
)

// makeResident writes the file in all directories.
func makeResident(j job, _ *outcome) error {
	for _, dir := range j.threeDirs() {
		if err := writeLarge(filepath.Join(dir, "resident"), j.Shape.Size); err != nil {
			return err
		}
	}
	return nil
}

// threeDirs are those of a trio.
func (j job) threeDirs() [3]string { return [3]string{j.Local, j.Floor, j.Dir} }

// measureResident measures trios.
func measureResident(j job, out *outcome) error {
	var files [3][]*os.File
	for i, dir := range j.threeDirs() {
		opened, err := j.openAll(dir)
		if err != nil {
			return err
		}
		defer closeAll(opened)
		files[i] = opened
	}
	for first := range j.Sizes.Trios {
		if err := j.readAnew(files, first); err != nil {
			return err
		}
		t, err := j.Shape.trio(files)
		if err != nil {
			return err
		}
		out.Trios = append(out.Trios, t)
	}
	return nil
}

// trio takes turns, and lets another begin each time.
func (s shape) trio(files [3][]*os.File) (trio, error) {
	var ops, took [3]float64
	for turn := range 3 * turns {
		i := (turn + turn/3) % 3
		n, t, err := s.turn(files[i])
		if err != nil {
			return trio{}, err
		}
		ops[i] += float64(n)
		took[i] += t.Seconds()
	}
	return trio{ops[0] / took[0], ops[1] / took[1], ops[2] / took[2]}, nil
}

// openAll opens the file once for each thread.
func (j job) openAll(dir string) (files []*os.File, err error) {
	for range j.Threads {
		f, err := os.OpenFile(filepath.Join(dir, "resident"), os.O_RDWR, 0)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // what it would say is of no measurement
	}
}

// readAnew takes the files out of the page cache and reads them into it, one of them first.
func (j job) readAnew(files [3][]*os.File, first int) error {
	if err := syncDisk(j.Local); err != nil {
		return err
	}
	for _, dir := range j.Below {
		if err := forget(dir); err != nil {
			return err
		}
	}
	for i := range files {
		f := files[(first+i)%3][0]
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{io.NewSectionReader(f, 0, j.Shape.Size)}); err != nil {
			return err
		}
	}
	return nil
}

// turn has each thread use its file for turnTime. It returns the operations of all, and
// how long they took.
func (s shape) turn(files []*os.File) (int64, time.Duration, error) {
	var (
		running sync.WaitGroup
		stop    atomic.Bool
		ops     atomic.Int64
		errs    = make([]error, len(files))
		begun   = time.Now()
	)
	timer := time.AfterFunc(turnTime, func() { stop.Store(true) })
	defer timer.Stop()
	for thread, f := range files {
		running.Go(func() {
			n, err := s.use(f, s.Size/int64(len(files))*int64(thread), &stop)
			ops.Add(n)
			errs[thread] = err
		})
	}
	running.Wait()
	return ops.Load(), time.Since(begun), errors.Join(errs...)
}

// use reads or writes blocks until stop: anywhere, or one after the other from a place.
func (s shape) use(f *os.File, from int64, stop *atomic.Bool) (ops int64, err error) {
	once := s.inOut(f)
	if s.Mapped {
		data, err := unix.Mmap(int(f.Fd()), 0, int(s.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return 0, os.NewSyscallError("mmap", err)
		}
		defer func() { err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(data))) }()
		once = s.mapped(data)
	}
	blocks := s.Size / int64(s.Block)
	at := from / int64(s.Block)
	for ; !stop.Load(); ops++ {
		if s.Random {
			at = rand.Int64N(blocks)
		}
		if err := once(at % blocks * int64(s.Block)); err != nil {
			return ops, err
		}
		at++
	}
	return ops, nil
}

// inOut reads or writes a block by a system call.
func (s shape) inOut(f *os.File) func(offset int64) error {
	data := bytes.Clone(noise()[:s.Block])
	return func(offset int64) (err error) {
		if s.Write {
			_, err = f.WriteAt(data, offset)
		} else {
			_, err = f.ReadAt(data, offset)
		}
		return err
	}
}

// mapped reads or writes a block in a mapping.
func (s shape) mapped(data []byte) func(offset int64) error {
	block := bytes.Clone(noise()[:s.Block])
	return func(offset int64) error {
		if s.Write {
			copy(data[offset:], block)
		} else {
			copy(block, data[offset:])
		}
		return nil
	}
}
