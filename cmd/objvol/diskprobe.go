package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// probeSize is what one look writes and reads, in bytes.
const probeSize = 4 << 10

// diskProbe measures now and then how long the disk takes that has the content files: of
// those that the kernel reads and writes itself nothing else tells.
type diskProbe struct {
	file    *os.File // without a name
	observe func(op string, took time.Duration)
}

// newDiskProbe makes the file of a probe in a directory of the disk.
func newDiskProbe(dir string, observe func(op string, took time.Duration)) (*diskProbe, error) {
	f, err := os.CreateTemp(dir, "disk-probe-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &diskProbe{f, observe}, nil
}

// run looks at once and after every interval until ctx ends.
func (p *diskProbe) run(ctx context.Context, interval time.Duration, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failed := false
	for {
		// A disk that is full is so for long: it is said once.
		if err := p.look(); err != nil && !failed {
			failed = true
			log.Warn("measure the disk of the state directory", "err", err)
		} else if err == nil {
			failed = false
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look writes a page until it is on the disk, and reads it from there.
func (p *diskProbe) look() error {
	data := make([]byte, probeSize)
	begun := time.Now()
	_, err := p.file.WriteAt(data, 0)
	if err == nil {
		err = unix.Fdatasync(int(p.file.Fd()))
	}
	if err != nil {
		return err
	}
	p.observe("write", time.Since(begun))
	// From the disk, not from memory.
	if err := unix.Fadvise(int(p.file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return os.NewSyscallError("fadvise", err)
	}
	begun = time.Now()
	if _, err := p.file.ReadAt(data, 0); err != nil {
		return err
	}
	p.observe("read", time.Since(begun))
	return nil
}

func (p *diskProbe) close() error { return p.file.Close() }
