package index

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// killedEnv names the directory of the index in which the test binary, run as a child, is
// to be killed.
const killedEnv = "OBJVOL_TEST_INDEX_KILLED"

// killedAfter is how many transactions the child commits: enough for several logs.
const killedAfter = 3000

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedEnv); dir != "" {
		commitAndDie(dir)
	}
	os.Exit(m.Run())
}

// commitAndDie ends the process by SIGKILL as soon as the last commit is answered; if it
// returned from that, or met an error, the exit status would tell.
func commitAndDie(dir string) {
	x, err := Open(dir, Options{})
	for i := uint64(1); err == nil && i <= killedAfter; i++ {
		err = commitNumbered(x, i)
	}
	if err == nil {
		err = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// What was answered survives SIGKILL (hard-cases 3).
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killedEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v\n%s", err, out)
	}
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	found, err := readHistory(x, killedAfter+1)
	if err != nil || found != killedAfter {
		t.Fatalf("%d of %d transactions are left, error %v", found, killedAfter, err)
	}
}

// A log is synced by Sync and at its end, and not by commits.
func TestLogIsSyncedWhenAsked(t *testing.T) {
	var syncs atomic.Int32
	d := &disk{FS: vfs.NewMem(), sync: func(name string) error {
		if isWAL(name) {
			syncs.Add(1)
		}
		return nil
	}}
	x, err := open("index", Options{}, d, memTableSize)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, want int32) {
		t.Helper()
		if got := syncs.Swap(0); got != want {
			t.Errorf("%s: %d syncs of the log, want %d", what, got, want)
		}
	}
	sync := func(what string, want int32) {
		t.Helper()
		if err := x.Sync(); err != nil {
			t.Fatal(err)
		}
		expect(what, want)
	}
	expect("making the index", 1) // its identity and its first numbers
	for i := range 20 {
		update(t, x, func(tx *Tx) error { return tx.PutMeta(strconv.Itoa(i), nil) })
	}
	expect("20 commits", 0)
	sync("Sync", 1)
	sync("Sync, with nothing new", 0)
	update(t, x, func(tx *Tx) error { return tx.PutMeta("last", nil) })
	sync("Sync after a commit", 1)
	n := Inode{Ino: 7, Mode: 0o100644, Nlink: 1}
	update(t, x, func(tx *Tx) error { return tx.PutInode(n) })
	if x.DataLasts() {
		t.Error("a new inode lasts before a sync")
	}
	sync("Sync of an inode", 1)
	n.Mtime = time.Now()
	update(t, x, func(tx *Tx) error { return tx.PutTimes(n) })
	if !x.DataLasts() {
		t.Error("a change of times counts as data")
	}
	sync("Sync after a change of times", 1)
	update(t, x, func(tx *Tx) error { return errors.Join(tx.PutTimes(n), tx.SetDirty(n.Ino)) })
	update(t, x, func(tx *Tx) error { return tx.PutTimes(n) })
	if x.DataLasts() {
		t.Error("a change of times and more lasts before a sync")
	}
	sync("Sync after a change of times and more", 1)
	if err := x.db.Flush(); err != nil { // goes on to the next log
		t.Fatal(err)
	}
	expect("end of a log", 1)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	expect("Close", 1)
	if err := x.Sync(); err != nil {
		t.Errorf("nothing is left to sync: %v", err)
	}
}

// While a sync is under way, who needs what it makes last waits for it.
func TestDataLastsAfterTheSync(t *testing.T) {
	var x *Index
	during := make([]bool, 0, 1)
	d := &disk{FS: vfs.NewMem(), sync: func(name string) error {
		if x != nil && isWAL(name) {
			during = append(during, x.DataLasts())
		}
		return nil
	}}
	opened, err := open("index", Options{}, d, memTableSize)
	if err != nil {
		t.Fatal(err)
	}
	update(t, opened, func(tx *Tx) error { return tx.SetDirty(1) })
	x = opened
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	if len(during) != 1 || during[0] || !x.DataLasts() {
		t.Errorf("data lasts during syncs: %v, after them: %v", during, x.DataLasts())
	}
	x = nil
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
}
