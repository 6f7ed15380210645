package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// residentResult is what was measured of a file that is all local.
type residentResult struct {
	row   residentRow
	trios []trio
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
	dir, remove, err := b.newLocalDir(localName)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	below, remove, err := b.newLocalDir(floorName)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
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
	err = b.withFloor(ctx, base{Source: below}, func(floor *volume) error {
		template := b.job("", v.at.dir)
		template.Local, template.Floor, template.Below = dir, floor.at.dir, []string{dir, below, v.at.state}
		results, err = b.measureThree(ctx, rows, template, v)
		return err
	})
	return results, err
}

// measureThree does rows in the directories of a job: a local one, the floor and a volume.
func (b *bench) measureThree(ctx context.Context, rows []residentRow, j job, v *volume) (results []residentResult, err error) {
	job := func(work string, r residentRow) job {
		j.Work, j.Threads, j.Shape = work, r.threads, r.shape
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
		results = append(results, residentResult{r, out.Trios})
	}
	return results, nil
}

// rest waits until the driver has nothing to do: what was changed before is in the bucket.
// The listing cannot tell that of a file that keeps its size, so a new mount does.
func (b *bench) rest(ctx context.Context, v *volume) error {
	return errors.Join(v.remount(ctx), b.settle(phase{}))
}

// writeResident writes the third table.
func writeResident(w io.Writer, results []residentResult) {
	writeLine(w, []string{"resident file", localName, floorName, objvolName, "/ local", "spread", "/ fuse", "spread"})
	writeLine(w, []string{"---", "---:", "---:", "---:", "---:", "---:", "---:", "---:"})
	for _, res := range results {
		var locals, floors, mounts, ofLocal, ofFloor, floorOfLocal []float64
		for _, t := range res.trios {
			locals, floors, mounts = append(locals, t.Local), append(floors, t.Floor), append(mounts, t.Mount)
			ofLocal, ofFloor = append(ofLocal, t.Mount/t.Local), append(ofFloor, t.Mount/t.Floor)
			floorOfLocal = append(floorOfLocal, t.Floor/t.Local)
		}
		ratio := number(median(ofLocal))
		if res.row.target > 0 {
			ratio = verdict{target: target{local, res.row.target}, value: median(ofLocal), least: true, bound: median(floorOfLocal)}.String()
		}
		writeLine(w, []string{
			res.row.name, rounded(locals), rounded(floors), rounded(mounts),
			ratio, spread(ofLocal), number(median(ofFloor)), spread(ofFloor),
		})
	}
}

func rounded(values []float64) string { return fmt.Sprintf("%.0f", median(values)) }

func spread(values []float64) string {
	return number(slices.Min(values)) + " to " + number(slices.Max(values))
}
