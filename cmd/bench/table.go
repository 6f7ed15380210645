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
	peak, ok := l.median(objvolName, func(m measurement) float64 { return float64(m.usage.peak) })
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
	used := func(m measurement) float64 { return m.usage.cpu }
	for _, res := range results {
		for _, l := range res.lines() {
			cells := []string{l.name, l.cell(localName), l.cell(floorName), l.cell(clientName)}
			for _, fs := range filesystems {
				cells = append(cells, l.cell(fs.name))
			}
			writeLine(w, append(cells, l.against(localName, local), l.over(floorName), l.against(clientName, raw), l.others(),
				l.figure(objvolName, "%.0f", requests), l.figure(clientName, "%.0f", requests),
				l.memory(),
				l.figure(objvolName, "%.2f", used), l.figure(clientName, "%.2f", used)))
		}
	}
}

func writeLine(w io.Writer, cells []string) {
	say(w, "| %s |\n", strings.Join(cells, " | "))
}
