package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// residentResult is what was measured of a file that is all local.
type residentResult struct {
	row   residentRow
	pairs []pair
}

// runResident measures each way to use the file. All of the same size share a mount.
func (b *bench) runResident(ctx context.Context, rows []residentRow) []residentResult {
	var results []residentResult
	for _, small := range []bool{false, true} {
		group := slices.DeleteFunc(slices.Clone(rows), func(r residentRow) bool { return (r.shape.Size == smallShaped) != small })
		if len(group) == 0 {
			continue
		}
		done, err := b.measureResident(ctx, group)
		results = append(results, done...)
		if err != nil && ctx.Err() == nil {
			b.failures = append(b.failures, failure{row: group[len(done)].name, side: objvolName, err: err})
		}
	}
	return results
}

func (b *bench) measureResident(ctx context.Context, rows []residentRow) (results []residentResult, err error) {
	dir := filepath.Join(b.dir, "local", b.place(localName))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	prefix := "work/" + b.place(objvolName)
	defer func() { err = errors.Join(err, b.clear(prefix+"/")) }()
	v, err := b.newVolume(b.filesystems[0], prefix, b.server.Endpoint, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.remove()) }()
	if err := v.mount(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.unmount()) }()

	job := func(work string, r residentRow) job {
		j := b.job(work, v.at.dir)
		j.Local, j.Threads, j.Shape = dir, r.threads, r.shape
		if j.Shape.Size == 0 {
			j.Shape.Size = b.sizes.Shaped
		}
		return j
	}
	if _, err := job("make resident", rows[0]).run(ctx); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := b.rest(ctx, v); err != nil {
			return results, err
		}
		begun := time.Now()
		out, err := job("resident", r).run(ctx)
		if err != nil {
			return results, err
		}
		say(b.progress, "%s: %.1f s\n", r.name, time.Since(begun).Seconds())
		results = append(results, residentResult{r, out.Pairs})
	}
	return results, nil
}

// rest waits until the driver has nothing to do: what was changed before is in the bucket.
// The listing cannot tell that of a file that keeps its size, so a new mount does.
func (b *bench) rest(ctx context.Context, v *volume) error {
	return errors.Join(v.remount(ctx), b.settle())
}

// writeResident writes the third table.
func writeResident(w io.Writer, results []residentResult) {
	writeLine(w, []string{"resident file", localName, objvolName, "/ local", "spread"})
	writeLine(w, []string{"---", "---:", "---:", "---:", "---:"})
	for _, res := range results {
		var locals, mounts, ratios []float64
		for _, p := range res.pairs {
			locals, mounts, ratios = append(locals, p.Local), append(mounts, p.Mount), append(ratios, p.Mount/p.Local)
		}
		ratio := number(median(ratios))
		if res.row.target > 0 {
			ratio = verdict{target{local, res.row.target}, median(ratios), true}.String()
		}
		writeLine(w, []string{
			res.row.name, fmt.Sprintf("%.0f", median(locals)), fmt.Sprintf("%.0f", median(mounts)), ratio,
			number(slices.Min(ratios)) + " to " + number(slices.Max(ratios)),
		})
	}
}
