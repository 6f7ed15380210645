package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// newVolume makes an empty place to mount a prefix of the bucket on.
func (b *bench) newVolume(fs filesystem, prefix, endpoint string, options []string) (*volume, error) {
	name := filepath.Base(prefix)
	if strings.HasPrefix(prefix, "fixtures/") {
		name = b.place(fs.name)
	}
	v := &volume{fs: fs, log: filepath.Join(b.logs, name+".log"), at: mountpoint{
		store: storeAt(b.server, endpoint), prefix: prefix, options: options,
		dir: filepath.Join(b.dir, "mnt", name), state: filepath.Join(b.dir, "state", name),
	}}
	return v, errors.Join(os.Mkdir(v.at.dir, 0o755), os.Mkdir(v.at.state, 0o700))
}

// remove removes the place of a volume that is not mounted.
func (v *volume) remove() error {
	return errors.Join(os.Remove(v.at.dir), os.RemoveAll(v.at.state))
}

func (b *bench) measureVolume(ctx context.Context, res *result, fs filesystem, endpoint string) (err error) {
	prefix := "work/" + b.place(fs.name)
	fixture := res.row.fixture != ""
	if fs.foreign {
		prefix = filepath.Base(prefix) // it makes a place of that name in the bucket
	}
	if fixture && !fs.foreign {
		prefix = b.fixturePrefix(res.row)
	} else {
		defer func() { err = errors.Join(err, b.clear(prefix+"/")) }()
	}
	v, err := b.newVolume(fs, prefix, endpoint, res.row.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.remove()) }()
	if err := v.mount(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil && fs.name == objvolName {
			err = errors.Join(err, fmt.Errorf("its log is %s", v.log), b.listLeft(prefix+"/"))
		}
		err = errors.Join(err, v.unmount())
	}()
	if fixture && fs.foreign {
		j := b.job(res.row.fixture, v.at.dir)
		j.Threads, j.limit = 8, makeLimit
		if _, err := j.run(ctx); err != nil {
			return err
		}
		if err := v.unmount(); err != nil {
			return err
		}
		// The names stay: they are nowhere else. What it kept of the content goes.
		if err := os.RemoveAll(v.at.cache()); err != nil {
			return err
		}
		if err := v.mount(ctx); err != nil {
			return err
		}
	}
	for i, p := range res.row.phases {
		if p.remount {
			if err := v.remount(ctx); err != nil {
				return err
			}
		}
		m, err := b.measurePhase(ctx, v, p, res.want[i])
		if m.returned > 0 {
			res.add(i, fs.name, m)
		}
		if errors.Is(err, errSlow) && fs.peer {
			res.slow[fs.name] = i
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// limit is how long a phase may take.
func (v *volume) limit() time.Duration {
	if v.fs.peer {
		return peerLimit
	}
	return ownLimit
}

// listLeft is an error that says what the bucket has, for a row that failed.
func (b *bench) listLeft(prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := b.client.manifest(ctx, prefix, "")
	if err != nil {
		return err
	}
	names := manifest{}.differences(m, true)
	return fmt.Errorf("the bucket has %d names:\n%s", len(names), strings.Join(names[:min(len(names), 1000)], "\n"))
}

// measurePhase does one phase on a volume.
func (b *bench) measurePhase(ctx context.Context, v *volume, p phase, want manifest) (m measurement, err error) {
	if p.drop {
		if _, err := b.job("forget", v.at.dir).run(ctx); err != nil {
			return m, err
		}
		if err := forget(v.at.state); err != nil {
			return m, err
		}
	}
	var was manifest
	if p.await && !v.fs.foreign {
		if was, err = b.client.manifest(ctx, v.at.prefix+"/", ""); err != nil {
			return m, err
		}
	}
	if err := errors.Join(b.settle(p), v.process.clearPeak()); err != nil {
		return m, err
	}
	before, err := b.server.traffic(ctx)
	if err != nil {
		return m, err
	}
	own := b.client.sent.Load()

	j := b.phaseJob(p, v.at.dir)
	j.limit = v.limit()
	m, meter, err := b.metered(ctx, v.process, j)
	if err != nil {
		return m, err
	}
	returned := time.Now()
	if p.await && !v.fs.foreign {
		if p.walk {
			listed, err := b.job("manifest", v.at.dir).run(ctx)
			if err != nil {
				return m, err
			}
			want = listed.Files
		}
		left := v.limit() - time.Duration(m.returned*float64(time.Second))
		more, err := awaitBucket(ctx, b.client, v.at.prefix+"/", was, want, v.fs.markers, returned, left)
		if err != nil {
			return m, err
		}
		m.bucket = m.returned + more.Seconds()
	}
	if m.whole, err = meter.spent(m.spent.program); err != nil {
		return m, err
	}
	after, err := b.server.traffic(ctx)
	if err != nil {
		return m, err
	}
	m.traffic = after.since(before)
	m.traffic.requests -= b.client.sent.Load() - own
	m.peak, err = v.process.peak()
	return m, err
}

// metered runs jobs, all at once, and measures until the last of them returned. The meter
// counts on.
func (b *bench) metered(ctx context.Context, filesystem *process, jobs ...job) (m measurement, on meter, err error) {
	if on, err = b.newMeter(filesystem); err != nil {
		return m, on, err
	}
	outcomes := make([]outcome, len(jobs))
	if err := parallel(len(jobs), len(jobs), func(i int) (err error) {
		outcomes[i], err = jobs[i].run(ctx)
		return err
	}); err != nil {
		return m, on, err
	}
	var used float64
	for _, out := range outcomes {
		if out.Seconds > m.returned {
			m.returned, m.during = out.Seconds, out.Machine
		}
		m.ops = max(m.ops, out.Ops)
		used += out.CPU
	}
	m.spent, err = on.spent(used)
	m.whole = m.spent
	return m, on, err
}
