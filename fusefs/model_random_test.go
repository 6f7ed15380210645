package fusefs_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// randomProgram draws steps on few names, so that they meet often.
func randomProgram(seed uint64, steps int) []string {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 1)), names: []string{"a", "b", "c", "d"}, scale: 1, guess: guess{".": 'd'}}
	switch seed % 8 {
	case 7: // keys that are too long for a store
		g.names = []string{"@255", "@254", "@250", "a"}
	case 6: // files of several parts
		g.scale = 400
	}
	program := append([]string{"umask 0"}, g.opens()...)
	for len(program) < steps {
		line := g.step()
		g.guess.learn(strings.Fields(line))
		switch g.IntN(12) {
		case 0:
			line = "1001 " + line
		case 1, 2:
			line = "1000 " + line
		}
		if g.IntN(60) == 0 {
			line = g.one("drain", "drain", "elsewhere", "again")
		}
		program = append(program, line)
		if line == "elsewhere" || line == "again" {
			program = append(program, g.opens()...)
		}
	}
	return program
}

// opens are steps that open everything that can be open.
func (g generator) opens() []string {
	var lines []string
	for i, slot := range slots {
		line := fmt.Sprintf("open %s %s rdwr,creat 666", slot, g.name())
		g.guess.learn(strings.Fields(line))
		lines = append(lines, line, fmt.Sprintf("opendir %d .", i))
	}
	return lines
}

type generator struct {
	*rand.Rand

	names []string
	scale int // of offsets and sizes
	guess guess
}

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) name() string {
	if g.IntN(12) == 0 {
		return g.one("@255", "@200", `"\xff\x80"`, `"%41+\x20#?\\\n"`, `"\x20."`, "@256")
	}
	return g.one(g.names...)
}

// path is mostly that of something that is there, and sometimes spelled oddly.
func (g generator) path() string {
	switch {
	case g.IntN(8) == 0:
		return g.place()
	case g.IntN(60) == 0:
		return spell(g.guess.some(g.Rand, 0)) + g.one("/", "/.", "//", "/..")
	}
	return spell(g.guess.some(g.Rand, 0))
}

// place is a name in a directory, whether or not it is there.
func (g generator) place() string {
	dir := g.guess.some(g.Rand, 'd')
	if g.IntN(20) == 0 {
		dir = g.guess.some(g.Rand, 0)
	}
	if dir == "." {
		return spell(unquote(g.name()))
	}
	return spell(dir + "/" + unquote(g.name()))
}

// spell writes a path as a program has it.
func spell(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`%#?\"`, r) }) {
		return strings.ReplaceAll(strconv.QuoteToASCII(path), " ", `\x20`)
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if len(part) > 100 {
			parts[i] = fmt.Sprintf("@%d", len(part))
		}
	}
	return strings.Join(parts, "/")
}

func (g generator) slot() string { return slots[g.IntN(len(slots))] }

func (g generator) mode() string {
	if g.IntN(3) == 0 {
		return strconv.FormatUint(g.Uint64N(0o10000), 8)
	}
	return g.one("644", "600", "666", "777", "755", "700", "0", "4755", "2755", "6777", "1777", "2775")
}

// offset is often on the border of a block.
func (g generator) offset() int {
	if g.IntN(2) == 0 {
		return 4096 * g.IntN(8*g.scale)
	}
	return g.IntN(30000 * g.scale)
}

func (g generator) id() string { return g.one("-1", "0", "1000", "1001", "2000", "2000") }

func (g generator) time() string {
	switch g.IntN(4) {
	case 0:
		return "now"
	case 1:
		return "omit"
	}
	return strconv.FormatInt(int64(g.IntN(1.7e9)-3e8)*1e9+int64(g.IntN(1e9)), 10)
}

func (g generator) xattr() string {
	return g.one("user.a", "user.a", "user.b", "user.c", "user.", "user.@", "trusted.t", "nobodys.x",
		"system.posix_acl_access", "system.posix_acl_default")
}

func (g generator) openFlags() string {
	words := []string{g.one("rdonly", "wronly", "rdwr", "rdwr")}
	for _, f := range []struct {
		word string
		in   int
	}{{"creat", 2}, {"excl", 6}, {"trunc", 5}, {"append", 5}, {"nofollow", 5}, {"directory", 12}, {"noatime", 20}, {"path", 25}} {
		if g.IntN(f.in) == 0 {
			words = append(words, f.word)
		}
	}
	return strings.Join(words, ",")
}

// step draws an operation; the more there are of a kind, the more often it comes.
func (g generator) step() string {
	p, q, n, h := g.path(), g.path(), g.place(), g.slot()
	if g.IntN(3) > 0 {
		q = n
	}
	say := fmt.Sprintf
	kinds := []func() string{
		func() string { return say("open %s %s %s %s", h, p, g.openFlags(), g.mode()) },
		func() string { return say("open %s %s rdwr,creat %s", h, n, g.mode()) },
		func() string { return say("open %s %s rdwr,creat %s", h, n, g.mode()) },
		func() string {
			return say("open %s %s tmpfile,%s %s", h, p, g.one("rdwr", "wronly", "rdwr,excl"), g.mode())
		},
		func() string { return say("close %s", h) },
		func() string { return say("linkat %s %s", h, n) },
		func() string { return say("pwrite %s %d %d %d", h, g.offset(), 1+g.offset(), g.IntN(100)) },
		func() string { return say("pwrite %s %d %d %d", h, g.offset(), 1+g.offset(), g.IntN(100)) },
		func() string { return say("write %s %d %d", h, 1+g.IntN(9000), g.IntN(100)) },
		func() string { return say("pread %s %d %d", h, g.offset(), g.offset()) },
		func() string { return say("ftruncate %s %d", h, g.offset()) },
		func() string { return say("truncate %s %d", p, g.offset()) },
		func() string {
			mode := g.one("allocate", "keep", "punch,keep", "punch,keep", "zero", "zero,keep", "punch")
			return say("fallocate %s %s %d %d", h, mode, g.offset(), g.offset())
		},
		func() string { return say("seek %s", h) },
		func() string { return say("copy %s %s %d %d %d", h, g.slot(), g.offset(), g.offset(), g.offset()) },
		func() string { return say("fsync %s", h) },
		func() string { return say("mwrite %s %d %d %d", h, g.IntN(9000), 1+g.IntN(9000), g.IntN(100)) },
		func() string {
			return say("setacl %s %s %06o %s %s", p, g.one("access", "default"), g.IntN(1<<18), g.one("1000", "1001"), g.one("1000", "2000"))
		},
		func() string { return say("mkdir %s %s", n, g.mode()) },
		func() string { return say("mkdir %s 777", n) },
		func() string { return say("rmdir %s", p) },
		func() string { return say("unlink %s", p) },
		func() string { return say("link %s %s", p, q) },
		func() string { return say("link %s %s", p, q) },
		func() string { return say("symlink %s %s", g.one("a", "b", "c/a", "a/b"), n) },
		func() string { return say("readlink %s", p) },
		func() string {
			return say("mknod %s %s %s", n, g.one("fifo", "socket", "file", "char", "block"), g.mode())
		},
		func() string { return say("rename %s %s plain", p, q) },
		func() string { return say("rename %s %s plain", p, q) },
		func() string { return say("rename %s %s %s", p, q, g.one("noreplace", "exchange", "exchange")) },
		func() string { return say("chmod %s %s", p, g.mode()) },
		func() string { return say("fchmod %s %s", h, g.mode()) },
		func() string { return say("chown %s %s %s", p, g.id(), g.id()) },
		func() string { return say("fchown %s %s %s", h, g.id(), g.id()) },
		func() string { return say("utimens %s %s %s", p, g.time(), g.time()) },
		func() string { return say("futimens %s %s %s", h, g.time(), g.time()) },
		func() string {
			return say("setxattr %s %s %d %d %s", p, g.xattr(), g.IntN(60), g.IntN(100), g.one("any", "create", "replace"))
		},
		func() string {
			return say("fsetxattr %s %s %d %d %s", h, g.xattr(), g.IntN(60), g.IntN(100), g.one("any", "create", "replace"))
		},
		func() string { return say("getxattr %s %s", p, g.xattr()) },
		func() string { return say("listxattr %s", p) },
		func() string { return say("removexattr %s %s", p, g.xattr()) },
		func() string { return say("access %s %d", p, g.IntN(8)) },
		func() string { return say("stat %s", p) },
		func() string { return say("ls %s", p) },
		func() string { return say("umask %s", g.one("0", "22", "77", "27")) },
		func() string { return say("opendir %s %s", h, p) },
		func() string { return say("readdir %s %d", h, 1+g.IntN(4)) },
		func() string { return say("readend %s", h) },
		func() string { return say("rewind %s", h) },
	}
	return kinds[g.IntN(len(kinds))]()
}
