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

// pair is what a shape made of a local file and of one on a mount, one right after the
// other: operations per second.
type pair struct{ Local, Mount float64 }

// shapeTime is how long each measurement of a shape takes.
const shapeTime = 250 * time.Millisecond

// makeResident writes the file in both directories.
func makeResident(j job, _ *outcome) error {
	return errors.Join(
		writeLarge(filepath.Join(j.Dir, "resident"), j.Shape.Size),
		writeLarge(filepath.Join(j.Local, "resident"), j.Shape.Size))
}

// measureResident measures in turn, and begins with the other one each time.
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
	for i := range j.Sizes.Pairs {
		var p pair
		turns := []func() error{
			func() (err error) { p.Local, err = j.Shape.rate(local); return err },
			func() (err error) { p.Mount, err = j.Shape.rate(mount); return err },
		}
		if i%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
		out.Pairs = append(out.Pairs, p)
	}
	return nil
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

// rate has each thread use its file for shapeTime and returns the operations per second of
// all.
func (s shape) rate(files []*os.File) (float64, error) {
	var (
		running sync.WaitGroup
		stop    atomic.Bool
		ops     atomic.Int64
		errs    = make([]error, len(files))
		begun   = time.Now()
	)
	timer := time.AfterFunc(shapeTime, func() { stop.Store(true) })
	defer timer.Stop()
	for thread, f := range files {
		running.Go(func() {
			var n int64
			n, errs[thread] = s.use(f, s.Size/int64(len(files))*int64(thread), &stop)
			ops.Add(n)
		})
	}
	running.Wait()
	return float64(ops.Load()) / time.Since(begun).Seconds(), errors.Join(errs...)
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
