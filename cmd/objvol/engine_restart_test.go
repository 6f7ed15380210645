package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"objvol/objstore/objstoretest"
)

// volumesLimit is how long the engine may take to tell of volumes while their driver is
// started again. Engines give a driver up after 15 seconds.
const volumesLimit = 20 * time.Second

// questions are asked of the engine once a second, however long the answers take.
type questions struct {
	asked atomic.Int64 // rounds that have begun
	open  atomic.Int64 // questions without an answer
	stop  context.CancelFunc
	all   sync.WaitGroup

	mu    sync.Mutex // protects what follows
	wrong []string
	worst time.Duration
}

// ask begins to ask for all volumes that there are, by list and by name.
func (e *engine) ask(volumes ...string) *questions {
	ctx, stop := context.WithCancel(e.t.Context())
	q := &questions{stop: stop}
	const format = "{{.Driver}} {{.Name}}"
	list := []string{"volume", "ls", "--format", format}
	inspect := append([]string{"volume", "inspect", "--format", format}, volumes...)
	want := ""
	for _, v := range volumes {
		want += e.name + " " + v + "\n"
	}
	q.all.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			q.open.Add(2)
			q.asked.Add(1)
			q.all.Go(func() { q.question(ctx, want, list) })
			q.all.Go(func() { q.question(ctx, want, inspect) })
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	e.t.Cleanup(func() {
		stop()
		q.all.Wait()
	})
	return q
}

// question must be answered in time and without a warning.
func (q *questions) question(ctx context.Context, want string, args []string) {
	defer q.open.Add(-1)
	limited, cancel := context.WithTimeout(ctx, volumesLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, "docker", args...)
	cmd.WaitDelay = time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil { // nobody wants to know any more
		return
	}
	took := time.Since(began)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.worst = max(q.worst, took)
	if err != nil || string(out) != want {
		q.wrong = append(q.wrong, fmt.Sprintf("docker %s, after %v: %v: %s", strings.Join(args, " "), took, err, out))
	}
}

// more waits until that many rounds more have begun.
func (q *questions) more(t *testing.T, rounds int64) {
	t.Helper()
	enough := q.asked.Load() + rounds
	eventually(t, "the engine is asked again", func() bool { return q.asked.Load() >= enough })
}

// pause waits for the time between two rounds. What an engine asks of a driver that dies
// before it answers is lost: engines repeat a request without its body.
func (q *questions) pause(t *testing.T) {
	t.Helper()
	q.more(t, 1)
	eventually(t, "the engine has answered", func() bool { return q.open.Load() == 0 })
}

// end asks no more and fails the test if an answer was wrong.
func (q *questions) end(t *testing.T) {
	t.Helper()
	q.stop()
	q.all.Wait()
	for _, w := range q.wrong {
		t.Error(w)
	}
	t.Logf("%d rounds of questions, the slowest answer after %v", q.asked.Load(), q.worst)
}

// A driver that ends under two containers and is started again, whichever way it ends: who
// asks for volumes gets an answer, a new container has the old data at once, and an old one
// has it after a restart.
func TestEngineDriverRestarts(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	server := objstoretest.MinIO(t)
	e := newEngine(t, server, "restart")
	one, two := e.create("one", "prefix=one"), e.create("two", "prefix=two")
	containers := []string{e.background(one), e.background(two)}
	q := e.ask(one, two)
	q.more(t, 1)

	e.restartDriver(q, containers, "killed", func() {
		if code := e.driver.end(t, syscall.SIGKILL); code != -1 {
			t.Fatalf("the driver ended with exit code %d", code)
		}
		e.wantMounts(2) // dead ones
	})
	e.restartDriver(q, containers, "stopped", func() {
		e.stopDriver()
		for _, volume := range []string{"one", "two"} {
			wantObject(t, server, "objvol/"+volume+"/stopped", []byte("stopped\n"))
		}
	})
	q.end(t)

	for _, c := range containers {
		e.stop(c)
	}
	e.wantMounts(0)
	for _, volume := range []string{one, two} {
		e.wantHolders(volume, 0)
	}
	for _, object := range []string{"one/killed", "two/killed", "one/stopped", "two/stopped"} {
		wantObject(t, server, "objvol/"+object, []byte(object[len("one/"):]+"\n"))
	}
}

// restartDriver writes a file in both containers, ends the driver and starts it again.
func (e *engine) restartDriver(q *questions, containers []string, file string, end func()) {
	e.t.Helper()
	for _, c := range containers {
		e.exec(c, fmt.Sprintf("echo %s >/data/%[1]s", file))
	}
	q.pause(e.t)
	end()
	q.more(e.t, 2)
	e.startDriver()
	if got := e.run(e.volumes[0], "cat /data/"+file); got != file {
		e.t.Errorf("a new container reads %q", got)
	}
	for i, volume := range e.volumes {
		eventually(e.t, volume+" is mounted again", func() bool { return e.status(volume).State == "mounted" })
		e.wantHolders(volume, 1)
		e.docker("restart", "-t", "0", containers[i])
		if got := e.exec(containers[i], "cat /data/"+file); got != file {
			e.t.Errorf("the old container reads %q", got)
		}
		e.wantHolders(volume, 1)
	}
	e.wantMounts(len(e.volumes))
}
