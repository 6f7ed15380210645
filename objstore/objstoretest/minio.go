package objstoretest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a MinIO server that runs for tests, without any bucket yet.
type Server struct {
	Endpoint  string // http://127.0.0.1:port; https if it is secure
	AccessKey string
	SecretKey string
	PID       int // its process; another after a restart
}

// startLimit is the time a server has to become live.
const startLimit = 30 * time.Second

// MinIO starts a server of the test's own, which ends with the test.
//
// The program is $OBJVOL_MINIO, or .tools/bin/minio in the root of the module. Where it
// is missing the test is skipped; it fails if $OBJVOL_REQUIRE, a list of words with
// commas between them, has the word minio.
func MinIO(tb testing.TB) Server {
	tb.Helper()
	server, stop, err := StartMinIO(tb.TempDir())
	must(tb, err)
	tb.Cleanup(stop)
	return server
}

// SharedMinIO is a server that several tests of one program use. It starts when the
// first of them asks for it. TestMain closes it:
//
//	var minio objstoretest.SharedMinIO
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		minio.Close()
//		os.Exit(code)
//	}
type SharedMinIO struct {
	mu     sync.Mutex // protects all below, and is held while the server starts
	server Server
	dir    string
	stop   func()
}

// Server returns the server, with the conditions of MinIO.
func (s *SharedMinIO) Server(tb testing.TB) Server {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return s.server
	}
	server, dir, stop, err := startShared()
	must(tb, err)
	s.server, s.dir, s.stop = server, dir, stop
	return server
}

// Close ends the server, if it was ever started, and removes its data.
func (s *SharedMinIO) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "objstoretest:", err)
	}
}

// startShared runs a server on a folder that outlives the test that happens to be the
// first.
func startShared() (server Server, dir string, stop func(), err error) {
	if dir, err = os.MkdirTemp("", "objvol-minio-"); err != nil {
		return Server{}, "", nil, err
	}
	if server, stop, err = StartMinIO(dir); err != nil {
		return Server{}, "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return server, dir, stop, nil
}

// must ends a test that needs a server and has none.
func must(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && !slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), "minio"):
		tb.Skipf("%v; get it with: make minio", err)
	case errors.Is(err, fs.ErrNotExist):
		tb.Fatalf("%v; get it with: make minio", err)
	default:
		tb.Fatal(err)
	}
}

// StartMinIO runs a server on the data in dir, which may be missing, until stop is called.
// An error that is fs.ErrNotExist says that there is no program. It is for who is no test;
// tests call [MinIO].
func StartMinIO(dir string) (server Server, stop func(), err error) {
	program, err := minioProgram()
	if err != nil {
		return Server{}, nil, err
	}
	// Between the choice of a port and its use another program may take it.
	var last error
	for range 3 {
		address, err := freeAddress("127.0.0.1")
		if err != nil {
			return Server{}, nil, err
		}
		p, err := startMinIOAt(program, dir, address)
		if err == nil {
			return p.server, p.end, nil
		}
		last = err
	}
	return Server{}, nil, last
}

func minioProgram() (string, error) {
	if program := os.Getenv("OBJVOL_MINIO"); program != "" {
		return program, exists(program)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; exists(filepath.Join(dir, "go.mod")) != nil; dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no module around the working directory: %w", fs.ErrNotExist)
		}
	}
	program := filepath.Join(dir, ".tools", "bin", "minio")
	return program, exists(program)
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

// process is a server that runs.
type process struct {
	server Server
	cmd    *exec.Cmd
	ended  chan struct{}
}

// end kills the server and waits for its end.
func (p *process) end() {
	_ = p.cmd.Process.Kill() // the only error is that it has ended
	<-p.ended
}

// startMinIOAt runs a server on an address. It is secure if certsDir has a certificate.
func startMinIOAt(program, dir, address string) (*process, error) {
	server := Server{Endpoint: "http://" + address, AccessKey: "objvol-test", SecretKey: "objvol-test-secret"}
	if exists(filepath.Join(certsDir(dir), "public.crt")) == nil {
		server.Endpoint = "https://" + address
	}
	var output bytes.Buffer
	cmd := exec.Command(program, "server", "--quiet", "--address", address, "--certs-dir", certsDir(dir), filepath.Join(dir, "data"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = []string{
		"HOME=" + dir,
		"MINIO_ROOT_USER=" + server.AccessKey,
		"MINIO_ROOT_PASSWORD=" + server.SecretKey,
		// No web pages, and no calls to anyone.
		"MINIO_BROWSER=off",
		"MINIO_UPDATE=off",
		"MINIO_CALLHOME_ENABLE=off",
		// Whoever measures reads how many requests there were.
		"MINIO_PROMETHEUS_AUTH_TYPE=public",
	}
	// A test program that is killed takes its server with it. The kernel means the
	// thread that started it, which therefore waits for its end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{server, cmd, make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed: there is always an error
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.server.PID = cmd.Process.Pid
	if err := awaitLive(server.Endpoint, p.ended); err != nil {
		p.end()
		return nil, fmt.Errorf("MinIO on %s: %w\n%s", address, err, output.Bytes())
	}
	return p, nil
}

func freeAddress(host string) (string, error) {
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// awaitLive returns when the server answers, or cannot any more.
func awaitLive(endpoint string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		err := live(ctx, endpoint)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the server ended")
		case <-ctx.Done():
			return fmt.Errorf("not live after %v: %w", startLimit, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// prober asks whether a server lives, not who it is.
var prober = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true,
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
}}

// live asks whether the server takes requests. The path named live would answer yes
// before it does.
func live(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/minio/health/cluster", nil)
	if err != nil {
		return err
	}
	resp, err := prober.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
