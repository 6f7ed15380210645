package fusefs_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// guess is what may be there while a program runs, by path: 'd' for a directory, 'f' for
// anything else. Programs that are drawn without it fail at nearly every step.
type guess map[string]byte

// some draws what is there, of a kind if that is given.
func (g guess) some(r *rand.Rand, kind byte) string {
	var of []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		if kind == 0 && path != "." || g[path] == kind {
			of = append(of, path)
		}
	}
	if len(of) == 0 || kind == 0 && r.IntN(80) == 0 {
		return "."
	}
	return of[r.IntN(len(of))]
}

// learn supposes that a step is done by root.
func (g guess) learn(words []string) {
	paths := make([]string, len(words))
	for i, word := range words {
		paths[i] = unquote(word)
	}
	switch words[0] {
	case "mkdir":
		g.add(paths[1], 'd')
	case "mknod":
		g.add(paths[1], 'f')
	case "linkat", "symlink":
		g.add(paths[2], 'f')
	case "link":
		if g[paths[1]] == 'f' {
			g.add(paths[2], 'f')
		}
	case "open":
		if strings.Contains(words[3], "creat") && !strings.Contains(words[3], "directory") {
			g.add(paths[2], 'f')
		}
	case "unlink":
		if g[paths[1]] == 'f' {
			delete(g, paths[1])
		}
	case "rmdir":
		if len(g.below(paths[1])) == 1 && paths[1] != "." {
			delete(g, paths[1])
		}
	case "rename":
		g.rename(paths[1], paths[2], words[3])
	}
}

// add adds a name, where there is none, to a directory.
func (g guess) add(path string, kind byte) {
	dir, _, below := cutLast(path)
	if _, there := g[path]; !there && (!below || g[dir] == 'd') {
		g[path] = kind
	}
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// below are a path and what is below it.
func (g guess) below(path string) []string {
	var all []string
	for p := range g {
		if p == path || strings.HasPrefix(p, path+"/") {
			all = append(all, p)
		}
	}
	return all
}

func (g guess) rename(from, to, flags string) {
	kind, there := g[from]
	other, taken := g[to]
	dir, _, below := cutLast(to)
	switch {
	case !there, below && g[dir] != 'd', from == ".", to == ".", strings.HasPrefix(to+"/", from+"/"), strings.HasPrefix(from, to+"/"):
		return
	case flags == "exchange" && !taken, flags == "noreplace" && taken:
		return
	case flags != "exchange" && taken && (kind != other || len(g.below(to)) > 1):
		return
	}
	moved := g.take(from)
	back := g.take(to)
	for rest, kind := range moved {
		g[to+rest] = kind
	}
	if flags != "exchange" {
		return
	}
	for rest, kind := range back {
		g[from+rest] = kind
	}
}

// take removes a path and what is below it, and returns it without the path itself.
func (g guess) take(path string) map[string]byte {
	all := map[string]byte{}
	for _, p := range g.below(path) {
		all[p[len(path):]] = g[p]
		delete(g, p)
	}
	return all
}
