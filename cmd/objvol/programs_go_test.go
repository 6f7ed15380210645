package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program is built on a volume that has its sources, the compiler's cache and its
// temporary files, runs from there, and is not built again on the next host.
func TestGoBuild(t *testing.T) {
	t.Parallel()
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	d := newDisk(t)
	env := []string{
		"GO=" + compiler, "GOCACHE=" + filepath.Join(d.dir, "cache"), "GOPATH=" + filepath.Join(d.dir, "path"), "GOTMPDIR=" + filepath.Join(d.dir, "tmp"),
		"GOTOOLCHAIN=local", "GOPROXY=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0", "GOTELEMETRY=off", "GOENV=off",
	}
	d.sh(t, `
		mkdir tmp src src/part; cd src
		printf 'module example.org/built\n\ngo 1.24\n' >go.mod
		printf 'package part\n\nfunc Sum(n int) (s int) {\n\tfor i := range n {\n\t\ts += i\n\t}\n\treturn s\n}\n' >part/part.go
		printf 'package main\n\nimport "example.org/built/part"\n\nfunc main() { println(part.Sum(101)) }\n' >main.go`)
	if got := d.sh(t, `cd src; $GO build . 2>&1; ./built 2>&1`, env...); got != "5050" {
		t.Errorf("the program prints %q", got)
	}
	d.move(t)
	// With -x the compiler's calls are shown; all it wants is in the cache.
	if got := d.sh(t, `cd src; ./built 2>&1; rm built; $GO build -x . 2>&1; ./built 2>&1`, env...); strings.Contains(got, "compile -o") || !strings.HasPrefix(got, "5050\n") || !strings.HasSuffix(got, "\n5050") {
		t.Errorf("it is built again: %s", got)
	}
}
