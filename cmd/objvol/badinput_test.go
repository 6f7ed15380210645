package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// answerLimit is what a call may take, whatever the input.
const answerLimit = 30 * time.Second

// What a gate does with a request.
const (
	pass = iota
	deny // as a server does that does not permit it
	lose // the connection ends without an answer
)

// gate is an endpoint that leads to a server and looks at each request first.
type gate struct {
	judge atomic.Pointer[func(*http.Request) int]
	lost  atomic.Int64
}

// newGate returns an endpoint that lets everything pass until told otherwise.
func newGate(t *testing.T, s objstoretest.Server) (*gate, objstoretest.Server) {
	t.Helper()
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	g.set(func(*http.Request) int { return pass })
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), ReadHeaderTimeout: deadline, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch (*g.judge.Load())(r) {
		case deny:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
		case lose:
			g.lost.Add(1)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	})}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	s.Endpoint = "http://" + l.Addr().String()
	return g, s
}

func (g *gate) set(judge func(*http.Request) int) { g.judge.Store(&judge) }

// denyWrites is a server whose keys may only read.
func denyWrites(r *http.Request) int {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return pass
	}
	return deny
}

// blackHole is the address of a listener that accepts and never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, _ = io.Copy(io.Discard, conn) // until the client gives up
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return l.Addr().String()
}

// createBody is the body of a Create.
func createBody(t *testing.T, name string, options map[string]string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"Name": name, "Opts": options})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// refused makes a call that must be answered in time, by an error that says all of this.
func (d served) refused(method, body string, says ...string) {
	d.t.Helper()
	start := time.Now()
	answer := d.call(method, body)
	if took := time.Since(start); took > answerLimit {
		d.t.Errorf("%s %.80s: answered after %v", method, body, took)
	}
	if strings.Contains(answer, `"Err":""`) {
		d.t.Errorf("%s %.80s: succeeds", method, body)
	}
	for _, want := range says {
		if !strings.Contains(answer, want) {
			d.t.Errorf("%s %.80s: says %s, want %q in it", method, body, answer, want)
		}
	}
}

// begin makes a call whose answer is waited for elsewhere.
func (d served) begin(method, body string) <-chan string {
	answered := make(chan string, 1)
	go func() {
		resp, err := overSocket(d.socket).Post("http://plugin/"+method, "application/json", strings.NewReader(body))
		if err != nil {
			answered <- err.Error()
			return
		}
		body, err := io.ReadAll(resp.Body)
		answered <- fmt.Sprint(string(body), errors.Join(err, resp.Body.Close()))
	}()
	return answered
}

// goroutines counts those of the driver.
func (d served) goroutines() int {
	d.t.Helper()
	text := fetch(d.t, overSocket(filepath.Join(d.state, "debug.sock")), http.MethodGet, "http://debug/debug/pprof/goroutine?debug=1", "")
	n, err := strconv.Atoi(regexp.MustCompile(`total (\d+)`).FindStringSubmatch(text)[1])
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// below lists the names in directories of the state.
func (d served) below(dirs ...string) string {
	d.t.Helper()
	var names []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(d.state, dir))
		if err != nil && !os.IsNotExist(err) {
			d.t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, dir+"/"+e.Name())
		}
	}
	return strings.Join(names, " ")
}

// unharmed returns a check that nothing of what is tried from here on is left in the
// driver, and that its volume "good", which is mounted and has the files, does well.
func (d served) unharmed() func() {
	d.t.Helper()
	good := filepath.Join(d.state, "mnt", "good")
	leaveNothing(d.t, good)
	d.must("VolumeDriver.Create", `{"Name":"good"}`)
	d.must("VolumeDriver.Mount", `{"Name":"good","ID":"a"}`)
	mounttest.Run(d.t, good, "write")
	list, names := d.must("VolumeDriver.List", "{}"), d.below("mnt", "volumes", "secrets")
	mounts, goroutines := mountsBelow(d.t, d.state), d.goroutines()
	return func() {
		d.t.Helper()
		mounttest.Run(d.t, good, "check")
		if got := d.must("VolumeDriver.List", "{}"); got != list {
			d.t.Errorf("volumes are %s, were %s", got, list)
		}
		if got := d.below("mnt", "volumes", "secrets"); got != names {
			d.t.Errorf("the state has %s, had %s", got, names)
		}
		if got := mountsBelow(d.t, d.state); got != mounts {
			d.t.Errorf("%d mounts, were %d", got, mounts)
		}
		// The kernel's requests and idle connections have a few of their own.
		const few = 12
		eventually(d.t, "goroutines end", func() bool { return d.goroutines() <= goroutines+few })
		d.must("VolumeDriver.Unmount", `{"Name":"good","ID":"a"}`)
		if code := d.end(d.t, syscall.SIGTERM); code != exitOK {
			d.t.Errorf("exit code %d", code)
		}
	}
}

func mountsBelow(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), " "+dir+"/")
}

func TestBadCreate(t *testing.T) {
	t.Parallel() // most of it waits for the black holes
	s := objstoretest.MinIO(t)
	d := startServe(t, s, filepath.Join(t.TempDir(), "state"))
	unharmed := d.unharmed()
	g, readOnly := newGate(t, s)
	g.set(denyWrites)
	put(t, s, "readonly", nil)
	put(t, s, "readonly/vol/file", []byte("content"))
	vol := func(options ...string) string {
		opts := map[string]string{}
		for i := 0; i < len(options); i += 2 {
			opts[options[i]] = options[i+1]
		}
		return createBody(t, "vol", opts)
	}
	// A label of more than 63 bytes is a name that no resolver is asked for.
	nowhere := "http://" + strings.Repeat("no-such-host", 6) + ".invalid:9000"

	t.Run("calls", func(t *testing.T) {
		for name, c := range map[string]struct {
			method, body string
			says         []string
		}{
			"unknown option":      {"Create", vol("buckt", "x"), []string{"buckt", `\"bucket\"`}},
			"bad number":          {"Create", vol("uid", "-1"), []string{"uid", "-1"}},
			"bad mode":            {"Create", vol("file-mode", "rw"), []string{"file-mode", "rw"}},
			"bad time":            {"Create", vol("ttl", "soon"), []string{"ttl", "soon"}},
			"bad size":            {"Create", vol("cache-size", "much"), []string{"cache-size"}},
			"bad word":            {"Create", vol("on-remove", "perhaps"), []string{"on-remove", "keep", "delete"}},
			"bad bucket":          {"Create", vol("bucket", "No_Bucket"), []string{"bucket"}},
			"bad prefix":          {"Create", vol("prefix", "a/../b"), []string{"prefix"}},
			"no URL":              {"Create", vol("endpoint", "ftp://127.0.0.1"), []string{"endpoint", "ftp"}},
			"refused port":        {"Create", vol("endpoint", "http://127.0.0.1:1"), []string{"127.0.0.1:1", "refused"}},
			"unresolvable name":   {"Create", vol("endpoint", nowhere), []string{"no such host"}},
			"black hole":          {"Create", vol("endpoint", "http://"+blackHole(t)), []string{"reachable"}},
			"black hole with TLS": {"Create", vol("endpoint", "https://"+blackHole(t)), []string{"not available"}},
			"no S3":               {"Create", vol("endpoint", "https://"+strings.TrimPrefix(s.Endpoint, "http://")), []string{"vol"}},
			"wrong key":           {"Create", vol("access-key", "nobody", "secret-key", "not-the-secret"), []string{"access"}},
			"wrong secret":        {"Create", vol("access-key", s.AccessKey, "secret-key", "not-the-secret"), []string{"secret"}},
			"key with its line":   {"Create", vol("access-key", "key\n", "secret-key", "not-the-secret"), []string{"access-key", "line break"}},
			"half a key":          {"Create", vol("access-key", "alone"), []string{"secret-key"}},
			"missing bucket":      {"Create", vol("bucket", "missing", "read-only", "true"), []string{"no such bucket", "missing"}},
			"may not make it":     {"Create", vol("bucket", "missing", "endpoint", readOnly.Endpoint), []string{"missing", "access denied"}},
			"may not write":       {"Create", vol("bucket", "readonly", "endpoint", readOnly.Endpoint), []string{"access denied", "read-only"}},
			"long name":           {"Create", createBody(t, strings.Repeat("n", 300), nil), []string{"too long"}},
			"no name":             {"Create", createBody(t, "", nil), []string{"name"}},
			"absolute name":       {"Create", createBody(t, "/etc", nil), []string{"path"}},
			"empty body":          {"Create", "", []string{"try again"}},
			"malformed body":      {"Create", `{"Name":`, []string{"protocol"}},
			"wrong type":          {"Create", `{"Name":5}`, []string{"protocol"}},
			"unknown method":      {"Nothing", `{"Name":"vol"}`, []string{"no such method"}},
			"endless body":        {"Create", `{"Name":"` + strings.Repeat("x", 2<<20) + `"}`, []string{"too large"}},
			"unknown volume":      {"Mount", `{"Name":"vol","ID":"a"}`, []string{"no such volume"}},
			"mount of a path":     {"Mount", `{"Name":"../../x","ID":"a"}`, []string{"no such volume"}},
			"remove of nothing":   {"Remove", `{"Name":"vol"}`, []string{"no such volume"}},
			"mount without body":  {"Mount", "", []string{"try again"}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				own := d
				own.t = t
				// Each has a volume of its own, as they run at once.
				body := strings.Replace(c.body, `"Name":"vol"`, `"Name":"vol `+name+`"`, 1)
				own.refused("VolumeDriver."+c.method, body, c.says...)
				if strings.Contains(d.stderr.String(), "not-the-secret") {
					t.Error("the log shows a secret")
				}
			})
		}
	})
	unharmed()
}

// Names that would climb name a directory of their own.
func TestHarmlessNames(t *testing.T) {
	s := objstoretest.MinIO(t)
	state := filepath.Join(t.TempDir(), "state")
	d := startServe(t, s, state)
	for _, name := range []string{"../../x", ".", "..", "a/b", "-rf", "new\nline", ".objvol"} {
		body, err := json.Marshal(map[string]string{"Name": name, "ID": "a"})
		if err != nil {
			t.Fatal(err)
		}
		d.must("VolumeDriver.Create", string(body))
		var answer struct{ Mountpoint string }
		if err := json.Unmarshal([]byte(d.must("VolumeDriver.Mount", string(body))), &answer); err != nil {
			t.Fatal(err)
		}
		leaveNothing(t, answer.Mountpoint)
		if filepath.Dir(answer.Mountpoint) != filepath.Join(state, "mnt") || !mounttest.Mounted(t, answer.Mountpoint) {
			t.Errorf("%q is mounted at %s", name, answer.Mountpoint)
		}
		mounttest.Run(t, answer.Mountpoint, "write local")
		d.must("VolumeDriver.Unmount", string(body))
		d.must("VolumeDriver.Remove", string(body))
	}
	if left := d.below("mnt", "volumes"); left != "" {
		t.Errorf("left: %s", left)
	}
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A bucket that may only be read is mounted read-only, and says so otherwise.
func TestReadOnlyBucket(t *testing.T) {
	s := objstoretest.MinIO(t)
	m, dir := testMounter(t, t.TempDir(), ""), mounttest.Dir(t)
	l := mustMount(t, m, specOn(t, s, "vol", nil), dir)
	mounttest.Run(t, dir, "write")
	mustUnmount(t, l)

	g, readOnly := newGate(t, s)
	g.set(denyWrites)
	state := filepath.Join(t.TempDir(), "state")
	d := startServe(t, readOnly, state)
	d.refused("VolumeDriver.Create", createBody(t, "vol", nil), "access denied", "read-only")
	at := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, at)
	d.must("VolumeDriver.Create", createBody(t, "vol", map[string]string{"read-only": "true"}))
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "check")
	mounttest.Run(t, at, "is read-only")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// loseEverything is a server that has stopped.
func loseEverything(*http.Request) int { return lose }

// A server that stops in the midst of a Create or a Mount is an error in time that leaves
// nothing, whichever request it was; when it is back, all goes on.
func TestServerStopsMeanwhile(t *testing.T) {
	g, s := newGate(t, objstoretest.MinIO(t))
	d := startServe(t, s, filepath.Join(t.TempDir(), "state"))
	unharmed := d.unharmed()
	at := filepath.Join(d.state, "mnt", "vol")
	leaveNothing(t, at)
	// stopAfter lets so many requests for the volume pass.
	stopAfter := func(n int64) {
		var seen atomic.Int64
		g.set(func(r *http.Request) int {
			if strings.Contains(r.URL.RequestURI(), "good") || seen.Add(1) <= n {
				return pass
			}
			return lose
		})
	}
	for n := range int64(3) {
		stopAfter(n)
		d.refused("VolumeDriver.Create", createBody(t, "vol", map[string]string{"bucket": "own"}), "not available")
	}
	g.set(func(*http.Request) int { return pass })
	d.must("VolumeDriver.Create", createBody(t, "vol", map[string]string{"bucket": "own"}))
	for n := range int64(2) {
		stopAfter(n)
		if answer := d.call("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`); !strings.Contains(answer, "not available") {
			t.Errorf("Mount after %d requests: %s", n, answer)
		}
		if mountsBelow(t, d.state) != 1 {
			t.Error("mounted, although the Mount is an error")
		}
		if answer := d.must("VolumeDriver.Get", `{"Name":"vol"}`); !strings.Contains(answer, `"holders":{}`) {
			t.Errorf("a reference is left: %s", answer)
		}
	}
	g.set(func(*http.Request) int { return pass })
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)

	// During the Unmount: it waits for the server, as long as that may still come back.
	mounttest.Run(t, at, "list")
	g.set(loseEverything)
	mounttest.Run(t, at, "write local")
	before := g.lost.Load()
	answered := d.begin("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	eventually(t, "the Unmount tries to send", func() bool { return g.lost.Load() > before+1 })
	g.set(func(*http.Request) int { return pass })
	if answer := <-answered; !strings.Contains(answer, `"Err":""`) {
		t.Errorf("Unmount: %s", answer)
	}
	wantObject(t, s, "own/vol/local", []byte("local"))
	d.must("VolumeDriver.Remove", `{"Name":"vol"}`)
	unharmed()
}

func isReadOnly(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("written to: %w", err)
	}
	return nil
}
