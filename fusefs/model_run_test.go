package fusefs_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// programRun is a program that is being run on both sides.
type programRun struct {
	mount, local *side
	people       people
	host         net.Conn // to what serves the mount
	since        int64    // when the program began
}

// runProgram runs the program in the file beside the mount, on the mount and on the local
// directory beside it. Its error says where they first differed.
func runProgram(dir string) error {
	text, err := os.ReadFile(dir + ".program")
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", dir+".host")
	if err != nil {
		return err
	}
	unix.Umask(0o22)
	r := &programRun{
		mount: newSide(dir), local: newSide(dir + ".local"),
		people: newPeople(), host: conn, since: time.Now().Add(-time.Second).UnixNano(),
	}
	// Everybody may write, and the root has an object, so that its times are kept.
	if err := must(os.Chmod(dir, 0o777), os.Chmod(dir+".local", 0o777)); err != nil {
		return err
	}
	steps := append(strings.Split(strings.TrimSpace(string(text)), "\n"), "elsewhere")
	for i, line := range steps {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if err := r.step(words); err != nil {
				return fmt.Errorf("step %d, %s: %w", i+1, line, err)
			}
		}
	}
	return conn.Close()
}

func (r *programRun) step(words []string) error {
	who := ""
	if _, ok := r.people[words[0]]; ok {
		who, words = words[0], words[1:]
	}
	switch words[0] {
	case "drain":
		return must(r.ask("drain"), r.compare())
	case "again", "elsewhere":
		return r.leave(words[0])
	}
	v, ok := verbs[words[0]]
	if a := args(words[1:]); ok && len(a) == len(v.args) {
		return r.both(who, v, a)
	}
	return errors.New("no such operation")
}

// both does a step on both sides and compares what it said and what it changed.
func (r *programRun) both(who string, v verb, a args) error {
	mountBefore, localBefore := r.mount.look(v, a), r.local.look(v, a)
	clockMoves()
	var got, said string
	r.people.do(who, func() { said = v.do(r.local, a) })
	r.people.do(who, func() { got = v.do(r.mount, a) })
	if got != said {
		return fmt.Errorf("got %s, locally %s", got, said)
	}
	mountAfter, localAfter := r.mount.look(v, a), r.local.look(v, a)
	for _, all := range []looks{mountAfter, localAfter} {
		for what := range all {
			got := changed(mountBefore, mountAfter, what, r.since)
			want := changed(localBefore, localAfter, what, r.since)
			if got != want {
				return fmt.Errorf("%s; %s is %s, locally %s", said, what, got, want)
			}
		}
	}
	r.mount.notice()
	r.local.notice()
	return nil
}

// ask lets the host do something with the mount.
func (r *programRun) ask(what string) error {
	if _, err := fmt.Fprintln(r.host, what); err != nil {
		return err
	}
	answer, err := bufio.NewReader(r.host).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "done" {
		return errors.New(answer)
	}
	return nil
}

// compare compares the trees of both sides.
func (r *programRun) compare() error {
	got, err := readTree(r.mount.dir)
	if err != nil {
		return fmt.Errorf("in the mount: %w", err)
	}
	want, err := readTree(r.local.dir)
	if err != nil {
		return fmt.Errorf("locally: %w", err)
	}
	return compareTrees(got, want, r.since)
}

// leave closes everything and mounts anew: the tree is the same, times included.
func (r *programRun) leave(how string) error {
	if got, want := r.mount.closeAll(), r.local.closeAll(); got != want {
		return fmt.Errorf("got %s, locally %s", got, want)
	}
	if err := r.compare(); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	before, err := readTree(r.mount.dir)
	if err != nil {
		return err
	}
	if err := r.ask(how); err != nil {
		return err
	}
	after, err := readTree(r.mount.dir)
	if err != nil {
		return fmt.Errorf("after: %w", err)
	}
	return must(compareTrees(after, before, 0), r.compare())
}

// slots are the handles of a program, in the order in which they are closed.
var slots = []string{"0", "1", "2", "3"}
