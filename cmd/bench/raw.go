package main

import (
	"cmp"
	"context"
	"errors"
)

// measureClient does the phases of a row once that a client of the store can do, and what a
// better client would do for the bound.
func (b *bench) measureClient(ctx context.Context, res *result, endpoint string) error {
	return b.withPrefix(res.row, clientName, func(prefix string) error {
		for i, p := range res.row.phases {
			for _, side := range []string{clientName, bestName} {
				j, ok := b.clientJob(p, side, prefix, endpoint)
				if !ok {
					continue
				}
				m, err := b.measureJob(ctx, p, j)
				if err != nil {
					return err
				}
				res.add(i, side, m)
			}
		}
		return nil
	})
}

// withPrefix has a prefix for a row: its fixture's, or a new one that is cleared in the end.
func (b *bench) withPrefix(r row, side string, do func(prefix string) error) (err error) {
	if r.fixture != "" {
		return do(b.fixturePrefix(r) + "/")
	}
	prefix := "work/" + b.place(side) + "/"
	defer func() { err = errors.Join(err, b.clear(prefix)) }()
	return do(prefix)
}

// clientJob is what a client does in a phase; false if there is nothing like it. The best one
// has a work of its own in few phases.
func (b *bench) clientJob(p phase, side, prefix, endpoint string) (job, bool) {
	j := b.phaseJob(p, prefix)
	j.Work, j.Store = p.client, storeAt(b.server, endpoint)
	j.Threads = cmp.Or(p.atOnce, j.Threads)
	if side == bestName {
		j.Work, j.Threads = p.best.work, max(1, p.best.atOnce)
	}
	return j, j.Work != ""
}

// measureJob has a client do a job.
func (b *bench) measureJob(ctx context.Context, p phase, j job) (m measurement, err error) {
	if err := b.settle(p); err != nil {
		return m, err
	}
	before, err := b.server.traffic(ctx)
	if err != nil {
		return m, err
	}
	if m, _, err = b.metered(ctx, nil, j); err != nil {
		return m, err
	}
	after, err := b.server.traffic(ctx)
	m.traffic = after.since(before)
	if p.await {
		m.bucket = m.returned // it waits for each answer
	}
	return m, err
}

// measureTogether does all phases of a row once on the floor and, at the same time, with the
// best client: two that need nothing of each other, and whose sum nobody is spared who mounts
// the store.
func (b *bench) measureTogether(ctx context.Context, res *result, endpoint string) error {
	return b.withPrefix(res.row, togetherName, func(prefix string) error {
		return b.onFloor(ctx, res.row, func(i int, p phase, v *volume) error {
			jobs := []job{b.phaseJob(p, v.at.dir)}
			if j, ok := b.bestJob(p, prefix, endpoint); ok {
				jobs = append(jobs, j)
			}
			m, _, err := b.metered(ctx, v.process, jobs...)
			if err == nil && len(jobs) > 1 {
				m.bucket = m.returned
				res.add(i, togetherName, m)
			}
			return err
		})
	})
}

// bestJob is the best client's, or any client's.
func (b *bench) bestJob(p phase, prefix, endpoint string) (job, bool) {
	if j, ok := b.clientJob(p, bestName, prefix, endpoint); ok {
		return j, true
	}
	return b.clientJob(p, clientName, prefix, endpoint)
}
