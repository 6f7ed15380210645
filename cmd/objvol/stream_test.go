package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// pouredSize is the size of what pour writes, in bytes.
const pouredSize = 200 << 20

// pourSlowly writes a large file slowly, and goes on to write its last byte until it is told
// to close it: a file that rests is sent as a whole. What it wrote lies beside the volume.
func pourSlowly(dir string) (err error) {
	data := make([]byte, pouredSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // it never fails
	if err := os.WriteFile(filepath.Join(os.Getenv("LOCAL"), "want"), data, 0o600); err != nil {
		return err
	}
	path := filepath.Join(dir, "poured")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for at := 0; at < pouredSize && err == nil; at += 1 << 20 {
		_, err = f.Write(data[at : at+1<<20])
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Println("written")
	told := make(chan error, 1)
	go func() {
		_, err := os.Stdin.Read(make([]byte, 1))
		told <- err
	}()
	for waits := true; waits && err == nil; {
		select {
		case err = <-told:
			waits = false
		case <-time.After(200 * time.Millisecond):
			_, err = f.WriteAt(data[pouredSize-1:], pouredSize-1)
		}
	}
	set := time.Unix(1614834367, 123456789)
	if err := errors.Join(err, f.Close(), os.Chmod(path, 0o640), os.Chtimes(path, set, set)); err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Printf("%o %d %d\n", st.Mode().Perm(), st.ModTime().Unix(), st.Size())
	return nil
}

// poured is the process that does it.
type poured struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// pour begins to write, and returns when all is written and the file still open.
func pour(t *testing.T, d *disk, local string) *poured {
	t.Helper()
	cmd := mounttest.Command(d.dir, "pour slowly")
	cmd.Env = append(cmd.Env, "LOCAL="+local)
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
