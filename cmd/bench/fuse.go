package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"objvol/cmd/bench/floor"
)

// envFloor makes the program a child that mounts the floor.
const envFloor = "OBJVOL_BENCH_FLOOR"

// base is what the floor shows on a directory: another, or a large file that is in memory.
type base struct {
	Dir    string
	Source string // empty for the file
	Size   int64  // bytes of the file
}

// beFloor mounts the floor until SIGTERM and does not return.
func beFloor(text string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var on base
	err := json.Unmarshal([]byte(text), &on)
	if err == nil {
		err = on.serve(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (on base) serve(ctx context.Context) error {
	if on.Source != "" {
		return floor.Loopback(ctx, on.Source, on.Dir)
	}
	return floor.Memory(ctx, floor.File{Name: "large", Size: on.Size, Fill: fillLarge}, on.Dir)
}

// newFloor makes a place for the floor.
func (b *bench) newFloor(on base) (*volume, error) {
	command := func(m mountpoint) (*exec.Cmd, error) {
		on.Dir = m.dir
		text, err := json.Marshal(on)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{envFloor + "=" + string(text)}
		return cmd, err
	}
	return b.newVolume(filesystem{name: floorName, command: command}, b.place(floorName), "", nil)
}

// withFloor has the floor mounted while do works.
func (b *bench) withFloor(ctx context.Context, on base, do func(v *volume) error) (err error) {
	v, err := b.newFloor(on)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.remove()) }()
	if err := v.mount(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.unmount()) }()
	return do(v)
}

// measureFloor does all phases of a row once on the floor.
func (b *bench) measureFloor(ctx context.Context, res *result) error {
	return b.onFloor(ctx, res.row, func(i int, p phase, v *volume) error {
		m, _, err := b.metered(ctx, v.process, b.phaseJob(p, v.at.dir))
		if err == nil {
			res.add(i, floorName, m)
		}
		return err
	})
}

// onFloor has the floor for each phase of a row, over an empty directory or over the
// fixture, of which the kernel keeps what is not warm on the others. Phases on a large file
// that is nowhere in the cache have one that is made while it is read: a filesystem that has
// to fetch it cannot pass it to the kernel.
func (b *bench) onFloor(ctx context.Context, r row, do func(i int, p phase, v *volume) error) (err error) {
	dir, remove, err := b.below(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return b.withFloor(ctx, base{Source: dir}, func(loopback *volume) error {
		for i, p := range r.phases {
			phase := func(v *volume) error {
				if p.drop {
					if err := forget(dir); err != nil {
						return err
					}
				}
				if err := b.settle(p); err != nil {
					return err
				}
				return do(i, p, v)
			}
			var err error
			switch {
			case p.memory:
				err = b.withFloor(ctx, base{Size: b.sizes.Large}, phase)
			case p.remount:
				err = errors.Join(loopback.remount(ctx), phase(loopback))
			default:
				err = phase(loopback)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// below is the directory that the floor shows for a row: the fixture, or an empty one, in
// memory unless syncs have to reach the disk.
func (b *bench) below(r row) (dir string, remove func() error, err error) {
	if r.fixture != "" || r.synced {
		return b.localDir(r)
	}
	m, err := newMemory()
	if err != nil {
		return "", nil, err
	}
	return m.path(), m.Close, nil
}
