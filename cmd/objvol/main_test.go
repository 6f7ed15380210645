package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"objvol/driver"
	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// envProgram makes the test binary the program itself.
const envProgram = "OBJVOL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(envProgram) != "" {
		main()
	}
	mounttest.Main(m, mounttest.Cases{
		"write":       writeFiles,
		"check":       checkFiles,
		"list":        list,
		"write more":  writeMore,
		"check more":  checkMore,
		"write local": writeLocal,

		"pour slowly":  pourSlowly,
		"fill disk":    fillDisk,
		"check filled": checkFilled,
		"go on":        goOn,

		"write tree":           writeTree,
		"check tree":           checkTree,
		"write xattrs":         writeXattrs,
		"check xattrs":         checkXattrs,
		"change xattrs":        changeXattrs,
		"check changed xattrs": checkChangedXattrs,
		"see changed xattrs":   seeChangedXattrs,
		"change tree":          changeTree,
		"check changed tree":   checkChangedTree,
		"see changed tree":     seeChangedTree,

		"check tools":    checkTools,
		"change foreign": changeForeign,
		"see put":        seePut,
		"see changed":    seeChanged,
		"see deleted":    seeDeleted,

		"is read-only": isReadOnly,
		"write big":    writeBig,
		"change big":   changeBig,

		"write many":  writeMany,
		"check many":  checkMany,
		"list large":  listLarge,
		"write long":  writeLong,
		"check long":  checkLong,
		"write huge":  writeHuge,
		"write over":  writeOver,
		"check over":  checkOver,
		"sync huge":   syncHuge,
		"rename huge": renameHuge,
		"check huge":  checkHuge,

		"names: make":   makeNames,
		"names: check":  checkHardNames,
		"names: remove": removeNames,
		"names: none":   noNames,
	})
}

// deadline bounds everything that a test waits for.
const deadline = 60 * time.Second * mounttest.Slower

// eventually waits until ok, and fails the test if that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// within is a context that ends.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// stamp is a time with nanoseconds.
var stamp = time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC)

// large is content of more than one page.
var large = bytes.Repeat([]byte("0123456789abcdef"), 1<<14)

func writeFiles(dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		os.WriteFile(path("file"), []byte("content"), 0o640),
		os.Chown(path("file"), 12, 34),
		os.Chtimes(path("file"), stamp, stamp),
		os.Mkdir(path("dir"), 0o750),
		os.Mkdir(path("empty"), 0o711),
		os.WriteFile(path("dir/large"), large, 0o600),
		os.Symlink("dir/large", path("link")))
}

func checkFiles(dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	var errs []error
	content := func(name string, want []byte) {
		if got, err := os.ReadFile(path(name)); err != nil || !bytes.Equal(got, want) {
			errs = append(errs, fmt.Errorf("%s: %d bytes, want %d (%w)", name, len(got), len(want), err))
		}
	}
	content("file", []byte("content"))
	content("link", large)
	for name, mode := range map[string]os.FileMode{"file": 0o640, "dir": os.ModeDir | 0o750, "empty": os.ModeDir | 0o711, "dir/large": 0o600} {
		info, err := os.Lstat(path(name))
		if err != nil {
			errs = append(errs, err)
		} else if info.Mode() != mode {
			errs = append(errs, fmt.Errorf("%s: mode %v, want %v", name, info.Mode(), mode))
		}
	}
	if info, err := os.Lstat(path("file")); err == nil {
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != 12 || st.Gid != 34 || !info.ModTime().Equal(stamp) {
			errs = append(errs, fmt.Errorf("file: owner %d:%d, time %v", st.Uid, st.Gid, info.ModTime()))
		}
	}
	return errors.Join(errs...)
}

// list makes the directory known: what is not in it needs no request then.
func list(dir string) error {
	_, err := os.ReadDir(dir)
	return err
}

func writeMore(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), large, 0o600) }

// writeLocal writes one small file and does not wait for the bucket.
func writeLocal(dir string) error {
	return os.WriteFile(filepath.Join(dir, "local"), []byte("local"), 0o600)
}

func checkMore(dir string) error {
	got, err := os.ReadFile(filepath.Join(dir, "more"))
	if err == nil && !bytes.Equal(got, large) {
		err = fmt.Errorf("more has %d bytes", len(got))
	}
	return err
}

// curl fetches an object as any other client would.
func curl(t *testing.T, s objstoretest.Server, path string) (status string, body []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "body")
	out, err := exec.CommandContext(within(t, deadline), "curl", "--silent", "--show-error", "--max-time", "20",
		"--user", s.AccessKey+":"+s.SecretKey, "--aws-sigv4", "aws:amz:us-east-1:s3",
		"--output", file, "--write-out", "%{http_code}", s.Endpoint+"/"+path).Output()
	if err != nil {
		t.Fatalf("curl %s: %v", path, err)
	}
	if body, err = os.ReadFile(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(out), body
}

// wantObject fails the test unless the bucket has the object.
func wantObject(t *testing.T, s objstoretest.Server, path string, want []byte) {
	t.Helper()
	if status, got := curl(t, s, path); status != "200" || !bytes.Equal(got, want) {
		t.Errorf("%s: status %s, %d bytes, want %d", path, status, len(got), len(want))
	}
}

// wantNoObject fails the test if the bucket has the object.
func wantNoObject(t *testing.T, s objstoretest.Server, path string) {
	t.Helper()
	if status, _ := curl(t, s, path); status != "404" {
		t.Errorf("%s: status %s, want 404", path, status)
	}
}

// cable is a connection to a server that can be cut.
type cable struct {
	to       string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // protects what follows
	cut   bool
	conns map[net.Conn]bool
}

// newCable returns an endpoint that leads to a server.
func newCable(t *testing.T, s objstoretest.Server) (*cable, objstoretest.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{to: strings.TrimPrefix(s.Endpoint, "http://"), listener: l, conns: map[net.Conn]bool{}}
	c.running.Go(c.serve)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		c.set(true)
		c.running.Wait()
	})
	s.Endpoint = "http://" + l.Addr().String()
	return c, s
}

func (c *cable) serve() {
	for {
		from, err := c.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		if !c.join(from, to) {
			continue
		}
		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			c.running.Go(func() {
				_, _ = io.Copy(pair[0], pair[1]) // ends with either connection
				c.part(from, to)
			})
		}
	}
}

func (c *cable) join(pair ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range pair {
		if c.cut {
			_ = conn.Close()
			continue
		}
		c.conns[conn] = true
	}
	return !c.cut
}

func (c *cable) part(pair ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range pair {
		_ = conn.Close()
		delete(c.conns, conn)
	}
}

// set cuts the cable, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		if cut {
			_ = conn.Close()
		}
	}
}

// program is the program in a process of its own.
type program struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *output
	exited chan struct{}
}

// output is what a program said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs the program with flags; keys of the server are in its environment. It is
// killed at the end of the test.
func start(t *testing.T, s objstoretest.Server, args ...string) *program {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(binary, args...), stderr: &output{}, exited: make(chan struct{})}
	p.cmd.Env = []string{
		envProgram + "=1", "PATH=" + os.Getenv("PATH"),
		"OBJVOL_ENDPOINT=" + s.Endpoint, "OBJVOL_ACCESS_KEY=" + s.AccessKey, "OBJVOL_SECRET_KEY=" + s.SecretKey,
	}
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.stdout = w, bufio.NewReader(r)
	if err := errors.Join(p.cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // its code is looked at
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%v: %v\n%s", args, p.cmd.ProcessState, p.stderr)
		}
	})
	return p
}

// line waits for a line on stdout.
func (p *program) line(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		text, _ := p.stdout.ReadString('\n') // short at the end of the program
		got <- text
	}()
	select {
	case text := <-got:
		return text
	case <-time.After(deadline):
		t.Fatal("the program says nothing")
		return ""
	}
}

// end sends a signal and returns the exit code.
func (p *program) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return p.code(t)
}

func (p *program) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(deadline):
		t.Fatal("the program does not end")
		return 0
	}
}

// overSocket is an HTTP client on a unix socket.
func overSocket(path string) *http.Client {
	return &http.Client{Timeout: deadline, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// fetch returns the body of an answer.
func fetch(t *testing.T, client *http.Client, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestExitCodes(t *testing.T) {
	pending := &driver.PendingError{Pending: driver.Pending{Files: 1}}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{usageError{errors.New("x")}, 2},
		{fmt.Errorf("volume: %w", pending), 3},
		{errors.Join(errors.New("x"), pending), 3},
		{failure{Message: "x", Pending: &driver.Pending{Files: 1}}.err(), 3},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, given := range [][]string{
		{"nonsense"},
		{"serve", "--nonsense"},
		{"serve", "argument"},
		{"serve", "--log-format=xml"},
		{"mount", "one"},
		{"mount", "s3://bucket/x", "/mnt", "-o", "bucket=other"},
		{"mount", "v", "/mnt", "-o", "nonsense=1"},
		{"volume", "inspect"},
	} {
		root := newRoot()
		root.SetArgs(given)
		if code := exitCode(root.ExecuteContext(t.Context())); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", given, code, exitUsage)
		}
	}
}

func TestVersion(t *testing.T) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"version"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.HasPrefix(out.String(), "objvol "+version+" ") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
