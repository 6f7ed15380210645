package main

import (
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgres is a PostgreSQL whose cluster and socket lie on a volume.
type postgres struct {
	*disk
	bin  string // its programs
	user *syscall.Credential
}

// newPostgres finds what Debian installs.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	requireProgram(t, "pg_lsclusters", "postgresql")
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(bins) == 0 {
		t.Fatalf("PostgreSQL is not where Debian has it: %v", err)
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	return &postgres{
		bin:  filepath.Dir(bins[len(bins)-1]),
		user: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}
}

// run runs a script as PostgreSQL's user, with its programs at hand.
func (p *postgres) run(t *testing.T, script string) string {
	t.Helper()
	return p.shAs(t, p.user, script, "PATH="+p.bin+":/usr/bin:/bin", "PGHOST="+p.dir+"/run", "PGDATA="+p.dir+"/data", "PGUSER=postgres")
}

// start starts the server and returns what stops it as "pg_ctl stop" does.
func (p *postgres) start(t *testing.T) (stop func()) {
	t.Helper()
	said := &output{}
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.dir+"/data",
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+p.dir+"/run", "-c", "shared_buffers=8MB")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", said, said
	cmd.Env = []string{"LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	end := func(signal syscall.Signal) error {
		_ = cmd.Process.Signal(signal)
		select {
		case err := <-exited:
			exited <- err
			return err
		case <-time.After(deadline):
			_ = p.mount.cmd.Process.Kill()
			_ = cmd.Process.Kill()
			return errors.New("it does not end")
		}
	}
	t.Cleanup(func() {
		_ = end(syscall.SIGQUIT)
		if t.Failed() {
			t.Logf("postgres: %s", said)
		}
	})
	eventually(t, "the database answers", func() bool {
		return strings.Contains(said.String(), "ready to accept connections")
	})
	return func() {
		t.Helper()
		if err := end(syscall.SIGINT); err != nil {
			t.Errorf("postgres: %v", err)
		}
	}
}

// A cluster is made, filled, worked on and stopped on one host, and goes on on another.
// With sync=bucket every commit waits for the bucket, so there are few.
func TestPostgres(t *testing.T) {
	t.Parallel()
	for sync, transactions := range map[string]int{"bucket": 10, "local": 100} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			p := newPostgres(t)
			p.disk = newDisk(t, "-o", "sync="+sync)
			p.sh(t, "install -d -o postgres -m 700 data run")
			p.run(t, "initdb --locale=C --wal-segsize=1 --data-checksums --auth=peer")
			stop := p.start(t)
			p.run(t, "pgbench --quiet --initialize postgres")
			p.run(t, fmt.Sprintf("pgbench --client=2 --transactions=%d postgres", transactions))
			stop()
			p.run(t, "pg_checksums --check")

			p.move(t, "-o", "sync="+sync)
			stop = p.start(t)
			got := p.run(t, `psql -Atqc "
				SELECT count(*), sum(abalance) = (SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)
				FROM pgbench_accounts"`)
			if want := fmt.Sprintf("100000|t|%d", 2*transactions); got != want {
				t.Errorf("the database says %q, want %q", got, want)
			}
			p.run(t, "pgbench --transactions=5 postgres")
			stop()
			p.detach(t)
		})
	}
}
