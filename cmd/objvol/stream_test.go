package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// pouring writes 200 MiB slowly to a file of the volume that it is started in, and keeps it
// open until it is told to go on. What it wrote lies beside the volume.
const pouring = `
	head -c 200M /dev/urandom >"$LOCAL/want"
	exec 3>poured
	for i in $(seq 0 199); do dd if="$LOCAL/want" bs=1M skip=$i count=1 status=none >&3; sleep 0.02; done
	echo written; read -r _; exec 3>&-
	chmod 640 poured; touch -d '2021-03-04 05:06:07.123456789' poured
	stat -c '%a %Y %s' poured`

// poured is the process that runs it.
type poured struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// pour begins to write, and returns when all is written and the file still open.
func pour(t *testing.T, d *disk, local string) *poured {
	t.Helper()
	cmd := exec.CommandContext(within(t, deadline), "sh", "-euc", "cd "+d.dir+"\n"+pouring)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "LOCAL=" + local}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &poured{cmd, in, bufio.NewScanner(out)}
	p.wants(t, "written")
	return p
}

func (p *poured) wants(t *testing.T, want string) {
	t.Helper()
	if !p.lines.Scan() || p.lines.Text() != want {
		t.Fatalf("it says %q, want %q", p.lines.Text(), want)
	}
}

// partsSent returns how many parts of unfinished uploads of a key the server has.
func partsSent(t *testing.T, s objstoretest.Server, bucket, key string) (uploads, parts int) {
	t.Helper()
	_, list := curl(t, s, bucket+"?prefix="+strings.ReplaceAll(key, "/", "%2F")+"&uploads=")
	for _, text := range strings.Split(string(list), "<UploadId>")[1:] {
		id, _, _ := strings.Cut(text, "<")
		_, of := curl(t, s, fmt.Sprintf("%s/%s?uploadId=%s", bucket, key, id))
		uploads, parts = uploads+1, parts+strings.Count(string(of), "<PartNumber>")
	}
	return uploads, parts
}

// Most of a large file that is written slowly is in the bucket's uploads before its close, and
// after it the file is in the bucket with its last attributes. A process that is killed while
// it is written loses nothing and leaves no upload.
func TestStreamedFile(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", kill), func(t *testing.T) {
			t.Parallel()
			d := &disk{dir: mounttest.Dir(t), server: objstoretest.MinIO(t)}
			leaveNothing(t, d.dir)
			state, local := t.TempDir(), t.TempDir()
			attach := func() { d.mount = startMount(t, d.server, state, "s3://programs/disk", d.dir, "-o", "passthrough=off") }
			attach()
			p := pour(t, d, local)
			eventually(t, "parts are sent", func() bool {
				uploads, parts := partsSent(t, d.server, "programs", "disk/poured")
				return uploads == 1 && parts >= 11
			})
			if kill {
				if err := d.mount.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				<-d.mount.exited
				_ = p.cmd.Process.Kill()
				_ = p.cmd.Wait() // it was killed
				_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
				attach()
				d.want(t, `cmp poured "$LOCAL/want" && stat -c '%s' poured`, "209715200", "LOCAL="+local)
			} else {
				if _, err := io.WriteString(p.in, "\n"); err != nil {
					t.Fatal(err)
				}
				p.wants(t, "640 1614834367 209715200")
				if err := p.cmd.Wait(); err != nil {
					t.Error(err)
				}
			}
			d.detach(t)
			if uploads, _ := partsSent(t, d.server, "programs", "disk/poured"); uploads != 0 {
				t.Errorf("%d uploads are left", uploads)
			}
			// A host that has never seen it.
			d.attach(t)
			d.want(t, `cmp poured "$LOCAL/want" && echo same`, "same", "LOCAL="+local)
			if !kill {
				d.want(t, `stat -c '%a %.Y' poured`, "640 1614834367.123456789")
			}
			d.detach(t)
		})
	}
}
