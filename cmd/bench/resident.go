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

// pair is what a shape made of a local file and of one on a mount, in turns of the two:
// operations per second.
type pair struct{ Local, Mount float64 }

// A pair is made of many short turns, so that what the machine does beside it falls on
// both.
const (
	turnTime = 25 * time.Millisecond
	turns    = 10 // of each of the two, in a pair
)

// makeResident writes the file in both directories.
func makeResident(j job, _ *outcome) error {
	return errors.Join(
		writeLarge(filepath.Join(j.Dir, "resident"), j.Shape.Size),
		writeLarge(filepath.Join(j.Local, "resident"), j.Shape.Size))
}

// measureResident measures pairs.
func measureResident(j job, out *outcome) error {
	local, err := j.openAll(j.Local)
	if err != nil {
		return err
	}
	defer closeAll(local)
	mount, err := j.openAll(j.Dir)
	if err != nil {
		return err
	}
	defer closeAll(mount)
	for range j.Sizes.Pairs {
		p, err := j.Shape.pair(local, mount)
		if err != nil {
			return err
		}
		out.Pairs = append(out.Pairs, p)
	}
	return nil
}

// pair takes turns, and lets the other begin each time.
func (s shape) pair(local, mount []*os.File) (pair, error) {
	var localOps, mountOps, localTime, mountTime float64
	turn := func(files []*os.File, ops, took *float64) error {
		n, t, err := s.turn(files)
		*ops += float64(n)
		*took += t.Seconds()
		return err
	}
	for i := range turns {
		var err error
		if i%2 == 0 {
			err = errors.Join(turn(local, &localOps, &localTime), turn(mount, &mountOps, &mountTime))
		} else {
			err = errors.Join(turn(mount, &mountOps, &mountTime), turn(local, &localOps, &localTime))
		}
		if err != nil {
			return pair{}, err
		}
	}
	return pair{localOps / localTime, mountOps / mountTime}, nil
}

// openAll opens the file once for each thread, and reads it so that its pages are in
// memory.
func (j job) openAll(dir string) (files []*os.File, err error) {
	for range j.Threads {
		f, err := os.OpenFile(filepath.Join(dir, "resident"), os.O_RDWR, 0)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{io.NewSectionReader(files[0], 0, j.Shape.Size)}); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // what it would say is of no measurement
	}
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
