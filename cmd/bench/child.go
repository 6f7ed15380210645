package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"objvol/fusefs/mounttest"
)

// envJob makes the program a child that does one job.
const envJob = "OBJVOL_BENCH_JOB"

// job is what a child is told to do.
type job struct {
	Work    string   // a key of works
	Dir     string   // where it works
	Local   string   // the local directory of works that compare; else empty
	Floor   string   // the floor's directory of works that compare three; else empty
	Below   []string // the directories that have the files of works that compare three
	Threads int      // that do it at once
	Sizes   sizes
	Store   store  // for works of the raw client; Dir is a prefix then
	Archive string // the tar file of the works that take one
	Shape   shape  // of the works on a resident file

	limit time.Duration // until it counts as hanging
}

// outcome is what a child answers.
type outcome struct {
	Seconds float64  // the work took, without the child's start
	Ops     int      // it did; 0 if it is not counted
	Trios   []trio   `json:",omitempty"` // of the works that compare three
	Files   manifest `json:",omitempty"` // of the work that lists
	CPU     float64  // seconds that the work took, with what it started, without the child's start
	Machine machine  // what all processors did meanwhile
}

// errSlow is a job, or its way into the bucket, that took longer than it may.
var errSlow = errors.New("takes too long")

// The most that something may take.
const (
	ownLimit  = 5 * time.Minute // what is measured
	makeLimit = 2 * time.Minute // what a peer is to find, where nobody else can make it
	rowLimit  = 3 * time.Minute // all that a peer does in a row
)

// peerLimit is the most that a peer's phase may take until it is in the bucket.
var peerLimit = time.Minute

// beChild does the job of a child and does not return.
func beChild(text string) {
	var j job
	err := json.Unmarshal([]byte(text), &j)
	var out outcome
	if err == nil {
		out, err = j.do()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (j job) do() (outcome, error) {
	work := works[j.Work]
	if work == nil {
		return outcome{}, fmt.Errorf("no work %q", j.Work)
	}
	var out outcome
	machineBefore, err := allProcessors()
	before, err2 := ownCPU()
	if err := errors.Join(err, err2); err != nil {
		return outcome{}, err
	}
	begun := time.Now()
	err = work(j, &out)
	out.Seconds = time.Since(begun).Seconds()
	after, err2 := ownCPU()
	out.CPU = after - before
	machineAfter, err3 := allProcessors()
	out.Machine = machineAfter.since(machineBefore)
	return out, errors.Join(err, err2, err3)
}

// run has a child do the job. One that does not end in time is a failed job, not a hanging
// bench: the connections of the mounts that it works on are ended, and it is killed.
func (j job) run(ctx context.Context) (outcome, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return outcome{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), envJob+"="+string(text))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := startProcess(cmd)
	if err != nil {
		return outcome{}, err
	}
	limit := time.NewTimer(j.limit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-ctx.Done():
		j.end(p)
		return outcome{}, ctx.Err()
	case <-limit.C:
		j.end(p)
		return outcome{}, fmt.Errorf("%s in %s: %w, over %v\n%s", j.Work, j.Dir, errSlow, j.limit, stderr.Bytes())
	}
	if p.err != nil {
		return outcome{}, fmt.Errorf("%s in %s: %w\n%s", j.Work, j.Dir, p.err, bytes.TrimSpace(stderr.Bytes()))
	}
	var out outcome
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		return outcome{}, fmt.Errorf("%s answers %q: %w", j.Work, stdout.Bytes(), err)
	}
	return out, nil
}

// end ends a child that may wait in the kernel: a runtime that still runs prints its
// stacks, the others end with the connection that they wait for.
func (j job) end(p *process) {
	p.signal(syscall.SIGQUIT)
	if !p.within(time.Second) && j.Store.Endpoint == "" {
		if err := mounttest.Abort(j.Dir); err != nil {
			fmt.Fprintln(os.Stderr, err) // it may be no mount
		}
	}
	p.kill()
}
