package main

import (
	"os"
	"path/filepath"
	"testing"
)

// gitFiles makes a repository of 60 files in two directories, a symlink and a program.
const gitFiles = `
	git init -q -b main .
	mkdir -p src/deep doc
	for i in $(seq 30); do echo "line $i" >src/deep/$i.c; seq $i >doc/$i.txt; done
	printf '#!/bin/sh\necho runs\n' >run; chmod 755 run; ln -s src/deep/1.c first
	git add . && git commit -qm first`

// Git clones, commits, merges and packs on a volume, and finds nothing wrong with it
// there nor on a host that sees it for the first time.
func TestGit(t *testing.T) {
	requireProgram(t, "git", "git")
	t.Parallel()
	d := newDisk(t)
	config := filepath.Join(t.TempDir(), "gitconfig")
	// Git packs in the background otherwise, when the test is over already.
	settings := "[user]\nname = T\nemail = t@example.org\n[gc]\nauto = 0\n[maintenance]\nauto = false\n[safe]\ndirectory = *\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"GIT_CONFIG_GLOBAL=" + config, "GIT_CONFIG_NOSYSTEM=1", "SOURCE=" + t.TempDir()}
	d.sh(t, `cd $SOURCE; `+gitFiles, env...)
	d.sh(t, `
		git clone -q --bare $SOURCE origin.git
		git clone -q origin.git work
		cd work
		git checkout -qb side
		git mv doc text; git commit -qm renamed
		git checkout -q main
		for i in $(seq 5); do echo more >>doc/$i.txt; git commit -qam "change $i"; done
		git merge -q -m merged side
		git push -q origin main
		git worktree add -q ../tree side; git worktree remove ../tree
		git gc -q --prune=now`, env...)
	look := func() {
		t.Helper()
		got := d.sh(t, `
			cd work
			git fsck --full --strict --no-progress
			git status --porcelain
			git rev-list --count HEAD
			git diff --stat HEAD origin/main
			ls text | wc -l
			./run
			git -C ../origin.git fsck --full --strict --no-progress`, env...)
		if want := "8\n30\nruns"; got != want {
			t.Errorf("it looks like %q, want %q", got, want)
		}
	}
	look()
	d.move(t)
	look()
	d.detach(t)
}
