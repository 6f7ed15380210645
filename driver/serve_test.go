package driver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	docker "github.com/docker/go-plugins-helpers/volume"
)

func getRequest(name string) *docker.GetRequest { return &docker.GetRequest{Name: name} }

// engine speaks to a driver over its socket.
type engine struct {
	t      *testing.T
	client *http.Client
	socket string
}

// serveDriver serves d on a socket that ends with the test.
func serveDriver(t *testing.T, d *Driver) *engine {
	t.Helper()
	e := &engine{t: t, socket: filepath.Join(t.TempDir(), "objvol.sock")}
	l, err := Listen(e.socket, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	e.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.socket)
		},
	}}
	t.Cleanup(func() {
		e.client.CloseIdleConnections()
		if d.stopping.Err() == nil {
			shut(t, d)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(e.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return e
}

// post sends a body as it is and returns the status and the answer as it is.
func (e *engine) post(path, body string) (int, string) {
	e.t.Helper()
	q, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "http://plugin.moby.localhost"+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	q.Header.Set("Accept", "application/vnd.docker.plugins.v1.2+json")
	r, err := e.client.Do(q)
	if err != nil {
		e.t.Fatal(err)
	}
	data, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		e.t.Fatal(err)
	}
	if got := r.Header.Get("Content-Type"); got != contentType {
		e.t.Errorf("%s: content type %q", path, got)
	}
	return r.StatusCode, strings.TrimSpace(string(data))
}

// want sends a body and compares the whole answer.
func (e *engine) want(path, body string, status int, answer string) {
	e.t.Helper()
	gotStatus, got := e.post(path, body)
	if gotStatus != status || got != answer {
		e.t.Errorf("%s %s:\n got %d %s\nwant %d %s", path, body, gotStatus, got, status, answer)
	}
}

// The requests as the documents of the protocol print them.
const (
	literalCreate = `{
    "Name": "volume_name",
    "Opts": {}
}`
	literalName = `{
    "Name": "volume_name"
}`
)

// TestProtocol walks through a volume's life with the literal requests of the documents.
func TestProtocol(t *testing.T) {
	dir := stateDir(t)
	f := &fakeMounter{}
	d := open(t, dir, f)
	e := serveDriver(t, d)
	mountpoint := filepath.Join(dir, "mnt", "volume_name")
	ok := `{"Err":""}`
	unknown := `{"Err":"volume \"volume_name\": no such volume"}`

	e.want("/Plugin.Activate", "", 200, `{"Implements":["VolumeDriver"],"Err":""}`)
	e.want("/VolumeDriver.Capabilities", "", 200, `{"Capabilities":{"Scope":"local"},"Err":""}`)
	e.want("/VolumeDriver.Capabilities", "{}", 200, `{"Capabilities":{"Scope":"local"},"Err":""}`)
	e.want("/VolumeDriver.List", "{}", 200, `{"Volumes":[],"Err":""}`)
	e.want("/VolumeDriver.List", "", 200, `{"Volumes":[],"Err":""}`)
	e.want("/VolumeDriver.Get", literalName, 500, unknown)
	e.want("/VolumeDriver.Path", literalName, 500, unknown)
	e.want("/VolumeDriver.Mount", literalName, 500, unknown)
	e.want("/VolumeDriver.Remove", literalName, 500, unknown)
	e.want("/VolumeDriver.Unmount", literalName, 200, ok) // nothing to release

	e.want("/VolumeDriver.Create", literalCreate, 200, ok)
	e.want("/VolumeDriver.Create", literalCreate, 200, ok) // idempotent
	created := info(t, d, "volume_name").CreatedAt.Format(time.RFC3339)
	if !strings.HasSuffix(created, "Z") {
		t.Errorf("CreatedAt %s is not UTC", created)
	}
	status := func(state, holders string) string {
		return fmt.Sprintf(`"Status":{"bucket":"objvol","endpoint":"","holders":%s,"lastError":"","pendingBytes":0,"pendingFiles":0,"prefix":"volume_name/","state":%q}`, holders, state)
	}
	e.want("/VolumeDriver.Get", literalName, 200,
		fmt.Sprintf(`{"Volume":{"Name":"volume_name","CreatedAt":%q,%s},"Err":""}`, created, status("unmounted", "{}")))
	e.want("/VolumeDriver.Path", literalName, 200, `{"Mountpoint":"","Err":""}`)
	e.want("/VolumeDriver.List", "{}", 200, fmt.Sprintf(`{"Volumes":[{"Name":"volume_name","CreatedAt":%q}],"Err":""}`, created))

	// Engines before 1.12 send no ID.
	mounted := fmt.Sprintf(`{"Mountpoint":%q,"Err":""}`, mountpoint)
	e.want("/VolumeDriver.Mount", literalName, 200, mounted)
	e.want("/VolumeDriver.Mount", `{"Name":"volume_name","ID":"b87d7442095999a92b65b3d9691e697b61713829cc0ffd1bb72e4ccd51aa4d6c"}`, 200, mounted)
	if f.mounts.Load() != 1 {
		t.Errorf("%d mounts for two references", f.mounts.Load())
	}
	e.want("/VolumeDriver.Path", literalName, 200, mounted)
	e.want("/VolumeDriver.Get", literalName, 200,
		fmt.Sprintf(`{"Volume":{"Name":"volume_name","Mountpoint":%q,"CreatedAt":%q,%s},"Err":""}`, mountpoint, created,
			status("mounted", `{"":1,"b87d7442095999a92b65b3d9691e697b61713829cc0ffd1bb72e4ccd51aa4d6c":1}`)))
	e.want("/VolumeDriver.List", "{}", 200,
		fmt.Sprintf(`{"Volumes":[{"Name":"volume_name","Mountpoint":%q,"CreatedAt":%q}],"Err":""}`, mountpoint, created))
	e.want("/VolumeDriver.Remove", literalName, 500, `{"Err":"volume \"volume_name\": in use: 2 references"}`)

	e.want("/VolumeDriver.Unmount", `{"Name":"volume_name","ID":"unknown"}`, 200, ok)
	e.want("/VolumeDriver.Unmount", literalName, 200, ok)
	if f.live.Load() != 1 {
		t.Error("the first Unmount ended the mount of the other ID")
	}
	e.want("/VolumeDriver.Unmount", `{"Name":"volume_name","ID":"b87d7442095999a92b65b3d9691e697b61713829cc0ffd1bb72e4ccd51aa4d6c"}`, 200, ok)
	if f.live.Load() != 0 {
		t.Error("the last Unmount left the mount")
	}
	e.want("/VolumeDriver.Unmount", literalName, 200, ok) // repeated
	e.want("/VolumeDriver.Path", literalName, 200, `{"Mountpoint":"","Err":""}`)
	e.want("/VolumeDriver.Remove", literalName, 200, ok)
	e.want("/VolumeDriver.Get", literalName, 500, unknown)
	if _, err := os.Stat(mountpoint); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mountpoint of a removed volume is there: %v", err)
	}
}

func TestProtocolEdges(t *testing.T) {
	d := open(t, stateDir(t), &fakeMounter{})
	e := serveDriver(t, d)
	ok := `{"Err":""}`
	e.want("/VolumeDriver.Create", `{"Name":"missing-opts"}`, 200, ok)
	e.want("/VolumeDriver.Create", `{"Name":"null-opts","Opts":null}`, 200, ok)
	e.want("/VolumeDriver.Create", `{"Name":"more","Opts":{"uid":"1"},"Future":[1]}`, 200, ok)
	e.want("/VolumeDriver.Create", `{"Name":"../../x","Opts":{}}`, 200, ok)
	if got, want := mount(t, d, "../../x", "a"), filepath.Join(d.stateDir, "mnt", "%2E.%2F..%2Fx"); got != want {
		t.Errorf("mountpoint %s, want %s", got, want)
	}

	for _, method := range []string{"Create", "Remove", "Mount", "Unmount", "Path", "Get"} {
		path := "/VolumeDriver." + method
		for body, want := range map[string]struct {
			status int
			text   string
		}{
			`{"Name":`:                     {400, "not what the protocol says"},
			`{"Name":"a"} {}`:              {400, "not what the protocol says"},
			`{"Name":7}`:                   {400, "not what the protocol says"},
			`null`:                         {500, "name is empty"},
			`{}`:                           {500, "name is empty"},
			`{"Name":"/etc"}`:              {500, "begins with a slash"},
			`{"Name":"a\u0000b"}`:          {500, "NUL"},
			strings.Repeat(" ", maxBody+1): {400, "too large"},
			longName(300):                  {500, "too long"},
		} {
			status, answer := e.post(path, body)
			var a struct{ Err string }
			if err := json.Unmarshal([]byte(answer), &a); err != nil {
				t.Fatal(err)
			}
			if status != want.status || !strings.Contains(a.Err, want.text) {
				t.Errorf("%s %.40s: %d %s, want %d and %q", path, body, status, a.Err, want.status, want.text)
			}
		}
	}
	e.want("/VolumeDriver.Create", `{"Name":"v","Opts":{"chache-size":"1G"}}`, 500,
		`{"Err":"volume \"v\": unknown option \"chache-size\"; the nearest is \"cache-size\""}`)
	e.want("/VolumeDriver.Create", `{"Name":"more","Opts":{"uid":"2"}}`, 500,
		`{"Err":"volume \"more\": exists with other options: uid is \"1\", not \"2\""}`)
	e.want("/VolumeDriver.Unknown", `{}`, 404, `{"Err":"no such method: \"/VolumeDriver.Unknown\""}`)
}

// What an engine repeats after its driver was killed comes without its body, and says so.
// An answer to Get would make it forget the volume.
func TestLostRequest(t *testing.T) {
	e := serveDriver(t, open(t, stateDir(t), &fakeMounter{}))
	for _, body := range []string{"", " \n"} {
		for _, method := range []string{"Create", "Remove", "Mount", "Unmount", "Path"} {
			if status, answer := e.post("/VolumeDriver."+method, body); status != 400 || !strings.Contains(answer, "lost in a restart") {
				t.Errorf("%s: %d %s", method, status, answer)
			}
		}
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://plugin/VolumeDriver.Get", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.client.Do(q)
		if err == nil {
			t.Errorf("Get: %s, %v", r.Status, r.Body.Close())
		} else if !errors.Is(err, io.EOF) {
			t.Errorf("Get: %v", err)
		}
	}
}

func longName(n int) string { return `{"Name":"` + strings.Repeat("x", n) + `"}` }

func TestScopeGlobal(t *testing.T) {
	defaults := BuiltIn()
	defaults.Endpoint = "http://127.0.0.1:9000"
	d := openWith(t, Config{StateDir: stateDir(t), Defaults: defaults, Mounter: &fakeMounter{}})
	serveDriver(t, d).want("/VolumeDriver.Capabilities", "{}", 200, `{"Capabilities":{"Scope":"global"},"Err":""}`)
}

func TestStatusTellsTrouble(t *testing.T) {
	f := &fakeMounter{status: func() MountStatus {
		return MountStatus{Pending: Pending{Files: 2, Bytes: 10}, LastError: errors.New("no route to host")}
	}}
	d := open(t, stateDir(t), f)
	create(t, d, "v", "bucket=other", "prefix=p")
	mount(t, d, "v", "a")
	_, got := serveDriver(t, d).post("/VolumeDriver.Get", `{"Name":"v"}`)
	for _, want := range []string{`"lastError":"no route to host"`, `"pendingFiles":2`, `"pendingBytes":10`, `"bucket":"other"`, `"prefix":"p/"`, `"state":"mounted"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

// TestPanicIsAnAnswer lets every part of a Mounter panic: the answer says so, the log has
// the stack, and the driver goes on.
func TestPanicIsAnAnswer(t *testing.T) {
	boom := false
	blow := func() {
		if boom {
			panic("boom")
		}
	}
	f := &fakeMounter{
		prepare: func(context.Context, Spec) (bool, error) { blow(); return true, nil },
		mount:   func(context.Context, Spec) error { blow(); return nil },
		verify:  func(context.Context) error { blow(); return nil },
		drain:   func(context.Context) { blow() },
		unmount: func(context.Context) error { blow(); return nil },
		remove:  func(context.Context, Spec, bool) error { blow(); return nil },
		status:  func() MountStatus { blow(); return MountStatus{} },
	}
	var log logBuffer
	d := openWith(t, Config{StateDir: stateDir(t), Defaults: BuiltIn(), Mounter: f, Log: log.logger()})
	e := serveDriver(t, d)
	expectBoom := func(method string) {
		t.Helper()
		boom = true
		if status, answer := e.post("/VolumeDriver."+method, `{"Name":"v"}`); status != 500 || !strings.Contains(answer, "internal error: boom") {
			t.Errorf("%s: %d %s", method, status, answer)
		}
		boom = false
	}
	expectOK := func(method string) {
		t.Helper()
		if status, answer := e.post("/VolumeDriver."+method, `{"Name":"v"}`); status != 200 {
			t.Errorf("%s: %d %s", method, status, answer)
		}
	}
	expectBoom("Create")
	expectOK("Create")
	expectBoom("Mount")
	expectOK("Mount")
	expectBoom("Get")
	expectOK("Get")
	expectBoom("Unmount")
	if f.live.Load() != 0 {
		t.Error("a mount whose draining panicked is kept for nobody")
	}
	expectOK("Unmount")
	expectBoom("Remove")
	expectOK("Remove")
	if !strings.Contains(log.String(), "stack=") || !strings.Contains(log.String(), "serve_test.go") {
		t.Errorf("no stack in the log: %s", log.String())
	}
}

type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) Call(method, volume string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if took < 0 {
		method = "negative time: " + method
	}
	r.calls = append(r.calls, fmt.Sprintf("%s %q %v", method, volume, err != nil))
}

func (r *recorder) seen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, "\n")
}

func TestObserverAndLog(t *testing.T) {
	var seen recorder
	var log logBuffer
	d := openWith(t, Config{StateDir: stateDir(t), Defaults: BuiltIn(), Mounter: &fakeMounter{}, Observer: &seen, Log: log.logger()})
	e := serveDriver(t, d)
	for _, method := range []string{"Get", "Create", "Mount", "Unmount", "Remove"} {
		e.post("/VolumeDriver."+method, `{"Name":"v"}`)
	}
	e.post("/VolumeDriver.List", "{}")
	e.post("/Plugin.Activate", "")
	shut(t, d)
	want := strings.Join([]string{
		`Get "" true`, `Create "v" false`, `Mount "v" false`, `Unmount "v" false`, `Remove "v" false`, `List "" false`, `Activate "" false`,
	}, "\n")
	if got := seen.seen(); got != want {
		t.Errorf("observed\n%s\nwant\n%s", got, want)
	}
	for _, want := range []string{"level=INFO msg=call method=Mount", "level=DEBUG msg=call method=Get", "volume=v"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log: %s", want, log.String())
		}
	}
}

// TestCallerGone cuts the connection while its Mount is under way: the driver sees it and
// takes the reference back.
func TestCallerGone(t *testing.T) {
	entered, gone, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	f := &fakeMounter{mount: func(ctx context.Context, _ Spec) error {
		close(entered)
		<-ctx.Done() // the request's own context reaches the Mounter
		close(gone)
		<-done
		return nil // mounted all the same
	}}
	d := open(t, stateDir(t), f)
	create(t, d, "v")
	e := serveDriver(t, d)
	conn, err := net.Dial("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"Name":"v","ID":"a"}`
	if _, err := fmt.Fprintf(conn, "POST /VolumeDriver.Mount HTTP/1.1\r\nHost: plugin\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the Mounter does not hear that the caller has gone")
	}
	close(done)
	shut(t, d) // waits for what is under way
	if n := d.state.references("v"); n != 0 || f.live.Load() != 0 {
		t.Errorf("%d references and %d mounts are left of a caller that has gone", n, f.live.Load())
	}
}

// TestCloseWithIdleConnection shows that a connection that the engine keeps open does not
// stand in the way of a stop.
func TestCloseWithIdleConnection(t *testing.T) {
	d := open(t, stateDir(t), &fakeMounter{})
	e := serveDriver(t, d)
	conn, err := net.Dial("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "POST /VolumeDriver.List HTTP/1.1\r\nHost: plugin\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	shut(t, d)
}
