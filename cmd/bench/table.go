package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// number writes three digits that count.
func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// cell is a side's median.
func (l line) cell(side string) string {
	m, _ := l.median(side, l.value)
	phase, slow := l.slow[side]
	switch {
	case l.bad[side] && m == 0:
		return "failed"
	case slow && phase == l.phase && m == 0:
		return fmt.Sprintf("over %.0f", peerLimit.Seconds())
	case slow && m == 0:
		return "not reached"
	case m == 0:
		return "–"
	case l.bad[side]:
		return number(m) + " (some failed)"
	case l.ops:
		return fmt.Sprintf("%.0f", m)
	case m < 0.001:
		return fmt.Sprintf("%.5f", m)
	case m < 0.1:
		return fmt.Sprintf("%.3f", m)
	default:
		return number(m)
	}
}

// against is objvol's ratio to a side beside its target, if it has one.
func (l line) against(side string, of against) string {
	if i := slices.IndexFunc(l.targets, func(t target) bool { return t.of == of }); i >= 0 {
		if v, ok := l.verdict(l.targets[i]); ok {
			return v.String()
		}
	}
	return l.over(side)
}

// over is objvol's ratio to a side.
func (l line) over(side string) string {
	if r, ok := l.ratio(side); ok && r > 0 {
		return number(r)
	}
	return "–"
}

// others are the verdicts that are no ratio to a side's time.
func (l line) others() string {
	var all []string
	for _, t := range l.targets {
		if t.of == local || t.of == raw {
			continue
		}
		if v, ok := l.verdict(t); ok {
			all = append(all, v.String())
		}
	}
	return orDash(strings.Join(all, "; "))
}

// figure is a median of objvol's, of a side's.
func (l line) figure(side, format string, value func(measurement) float64) string {
	m, ok := l.median(side, value)
	if !ok {
		return "–"
	}
	return fmt.Sprintf(format, m)
}

func (l line) memory() string {
	peak, ok := l.median(objvolName, func(m measurement) float64 { return float64(m.peak) })
	switch {
	case !ok:
		return "–"
	case peak >= memoryLimit:
		return fmt.Sprintf("**%.0f**", peak/(1<<20))
	default:
		return fmt.Sprintf("%.0f", peak/(1<<20))
	}
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// writeTable writes results as Markdown.
func writeTable(w io.Writer, results []result, filesystems []filesystem) {
	head := []string{"work", localName, floorName, clientName}
	for _, fs := range filesystems {
		head = append(head, fs.name)
	}
	head = append(head, "/ local", "/ fuse", "/ client", "other targets", "requests", "client's", "peak MiB", "CPU s", "client's")
	writeLine(w, head)
	rule := []string{"---"}
	for range head[1:] {
		rule = append(rule, "---:")
	}
	writeLine(w, rule)
	requests := func(m measurement) float64 { return float64(m.traffic.requests) }
	for _, res := range results {
		for _, l := range res.lines() {
			cells := []string{l.name, l.cell(localName), l.cell(floorName), l.cell(clientName)}
			for _, fs := range filesystems {
				cells = append(cells, l.cell(fs.name))
			}
			writeLine(w, append(cells, l.against(localName, local), l.over(floorName), l.against(clientName, raw), l.others(),
				l.figure(objvolName, "%.0f", requests), l.figure(clientName, "%.0f", requests),
				l.memory(),
				l.figure(objvolName, "%.2f", filesystemCPU), l.figure(clientName, "%.2f", programCPU)))
		}
	}
}

func writeLine(w io.Writer, cells []string) {
	say(w, "| %s |\n", strings.Join(cells, " | "))
}

// writeSpent writes where the processors' time went in each line.
func writeSpent(w io.Writer, results []result) {
	writeLine(w, []string{"CPU", "program + fuse", "client + store", "program + objvol + store + others", "idle", "stolen"})
	writeLine(w, []string{"---", "---:", "---:", "---:", "---:", "---:"})
	for _, res := range results {
		for _, l := range res.lines() {
			floor, raw := "–", "–"
			if !l.bucket {
				floor = l.sum(floorName, spentProgram, spentFilesystem)
			}
			if l.store {
				raw = l.sum(l.best(), spentProgram, spentStore)
			}
			writeLine(w, []string{
				l.name, floor, raw, l.sum(objvolName, spentProgram, spentFilesystem, spentStore, spent.others),
				l.share(func(m machine) float64 { return m.Idle }), l.share(func(m machine) float64 { return m.Stolen }),
			})
		}
	}
}

func spentProgram(s spent) float64    { return s.program }
func spentFilesystem(s spent) float64 { return s.filesystem }
func spentStore(s spent) float64      { return s.store }

// spentOf is what was spent until a line's end.
func (l line) spentOf(m measurement) spent {
	if l.bucket {
		return m.whole
	}
	return m.spent
}

// sum writes medians of what a side has spent.
func (l line) sum(side string, parts ...func(spent) float64) string {
	var all []string
	for _, part := range parts {
		all = append(all, l.figure(side, "%.2f", func(m measurement) float64 { return part(l.spentOf(m)) }))
	}
	return strings.Join(all, " + ")
}

// share is a part of what the processors had while objvol did a line.
func (l line) share(of func(machine) float64) string {
	return l.figure(objvolName, "%.0f %%", func(m measurement) float64 {
		all := l.spentOf(m).machine
		return 100 * all.of(of(all))
	})
}
