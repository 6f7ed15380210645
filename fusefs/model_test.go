package fusefs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// To search longer: go test ./fusefs -run TestModel -model.seed 1000 -model.runs 100.
var (
	modelSeed  = flag.Uint64("model.seed", 6, "the first seed of the random programs")
	modelRuns  = flag.Uint64("model.runs", 3, "how many random programs each kind of store gets")
	modelSteps = flag.Int("model.steps", 120, "how many steps a random program has")
	modelLimit = flag.Duration("model.shrink", 2*time.Minute, "how long a failing program is made smaller")
)

// modelKinds are hosts with stores, by what they cannot do.
var modelKinds = map[string]hostKind{
	"full":  {cache: 1 << 30},
	"new":   {cache: 1 << 30, created: 1}, // what is created is passed, too
	"tight": {cache: 10_000},              // nothing that is in the bucket stays here
	"files": {cache: 1 << 30, store: memory.Options{Without: objstore.Capabilities{FileAndDirectory: true, ListMetadata: true}}},
	"poor":  {cache: 1 << 30, store: memory.Options{Without: objstore.Capabilities{ListMetadata: true, CopyPart: true, ConditionalDelete: true}}},
}

// hostKind is a kind of host.
type hostKind struct {
	store   memory.Options
	cache   int64 // the size of its cache
	created int64 // vfs.Config.CreatedRoom
}

// host returns one with an empty bucket, that mounts on dir.
func (k hostKind) host(dir string) *host {
	return &host{dir: dir, prefix: "v/", bucket: memory.New(k.store), cache: k.cache, created: k.created}
}

// TestModel does random programs on a mount and on a local directory: every result, the
// trees, and the tree on a host that knows only the bucket are the same. A program that
// fails is made smaller and printed: as a file in testdata/model it becomes a regression
// test.
func TestModel(t *testing.T) {
	for name, kind := range modelKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := mounttest.Dir(t)
			searchModel(t, name, func(p []string) error { return kind.host(dir).try(t, p) })
		})
	}
}

// searchModel tries random programs, and prints those that fail as small as they can be.
func searchModel(t *testing.T, where string, try func(program []string) error) {
	t.Helper()
	for seed := *modelSeed; seed < *modelSeed+*modelRuns; seed++ {
		program := randomProgram(seed, *modelSteps)
		err := try(program)
		if err == nil {
			continue
		}
		t.Logf("seed %d: %v", seed, err)
		least := shrink(program, *modelLimit, func(p []string) bool { return sameFailure(try(p), err) })
		t.Errorf("seed %d, %s: %v\n%s", seed, where, try(least), strings.Join(least, "\n"))
	}
}

// sameFailure is of two programs of which one is a part of the other: but for numbers, the
// same was said of the same step.
func sameFailure(a, b error) bool {
	return a != nil && failure.FindString(digits.ReplaceAllString(a.Error(), "#")) == failure.FindString(digits.ReplaceAllString(b.Error(), "#"))
}

var (
	digits  = regexp.MustCompile(`[0-9]+`)
	failure = regexp.MustCompile(`step #.*`)
)

// TestModelRegressions does the programs that once failed.
func TestModelRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/model/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no programs, %v", err)
	}
	for name, kind := range modelKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := mounttest.Dir(t)
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := kind.host(dir).try(t, []string{string(text)}); err != nil {
					t.Errorf("%s: %v", fmt.Sprint(filepath.Base(file)), err)
				}
			}
		})
	}
}
