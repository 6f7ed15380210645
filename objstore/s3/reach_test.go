package s3

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore"
)

// store answers enough for Open.
func store(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
}

// secure returns a store with a certificate of an authority that no system knows, and the
// file of that authority. The certificate is for 127.0.0.1.
func secure(t *testing.T, addr string) (url, authority string) {
	t.Helper()
	listener, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(store))
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	// Refused handshakes are what is tested.
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL, write(t, filepath.Join(t.TempDir(), "ca.pem"), string(text))
}

func TestTrust(t *testing.T) {
	url, authority := secure(t, "127.0.0.1")
	other, _ := secure(t, "127.0.0.2")
	for name, c := range map[string]struct {
		change func(*Config)
		kind   error // nil: it opens
		want   []string
	}{
		"unknown authority": {func(*Config) {}, objstore.ErrUnavailable, []string{"unknown authority", "ca-cert"}},
		"private authority": {func(c *Config) { c.CACert = authority }, nil, nil},
		"no verification":   {func(c *Config) { c.InsecureSkipVerify = true }, nil, nil},
		"another host": {func(c *Config) {
			c.CACert, c.Endpoint = authority, other
		}, objstore.ErrUnavailable, []string{"127.0.0.2", "check the host name"}},
		"no such file": {func(c *Config) { c.CACert = "/nonexistent/ca.pem" }, objstore.ErrInvalid, []string{"ca-cert", "no such file"}},
		"no certificate": {func(c *Config) {
			c.CACert = write(t, filepath.Join(t.TempDir(), "x"), "nothing")
		}, objstore.ErrInvalid, []string{"ca-cert", "PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Endpoint: url, Region: "r", Bucket: "volumes", AccessKey: "id", SecretKey: "secret"}
			c.change(&cfg)
			b, err := Open(t.Context(), cfg)
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, c.kind) {
				t.Errorf("error %v, want %v", err, c.kind)
			}
			for _, want := range c.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

// TestThroughAProxy runs itself again, because net/http reads the variables of proxies once.
func TestThroughAProxy(t *testing.T) {
	url, authority := secure(t, "127.0.0.1")
	var mu sync.Mutex
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.Host)
		mu.Unlock()
		if r.Method != http.MethodConnect {
			store(w, r)
			return
		}
		tunnel(w, strings.TrimPrefix(url, "https://"))
	}))
	defer proxy.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildOfAProxy$", "-test.v")
	child.Env = append(os.Environ(), "OBJVOL_TEST_CA="+authority,
		"HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "NO_PROXY=inside.example.com,10.0.0.0/8",
		"http_proxy=", "https_proxy=", "no_proxy=", "REQUEST_METHOD=")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestChildOfAProxy") {
		t.Fatalf("%v\n%s", err, out)
	}
	// None of the names exists: only the proxy can have been asked.
	want := "GET store.invalid:9000, CONNECT example.com:443"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("the proxy saw %s, want %s", got, want)
	}
}

// tunnel connects a client of a proxy with an address.
func tunnel(w http.ResponseWriter, addr string) {
	there, err := net.Dial("tcp", addr)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	go func() {
		// Ends with the connection.
		_, _ = io.Copy(there, buffered)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
}

func TestChildOfAProxy(t *testing.T) {
	authority := os.Getenv("OBJVOL_TEST_CA")
	if authority == "" {
		t.Skip("runs below TestThroughAProxy")
	}
	for _, endpoint := range []string{"http://store.invalid:9000", "https://example.com"} {
		cfg := Config{
			Endpoint: endpoint, Region: "r", Bucket: "volumes", PathStyle: "true",
			AccessKey: "id", SecretKey: "secret", CACert: authority,
		}
		b, err := Open(t.Context(), cfg)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		b.Close()
	}
	transport, err := newTransport(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for url, proxied := range map[string]bool{
		"http://outside.example.com": true, "https://outside.example.com": true,
		"http://inside.example.com": false, "https://10.1.2.3:9000": false, "http://127.0.0.1:9000": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if by, err := transport.Proxy(req); err != nil || (by != nil) != proxied {
			t.Errorf("%s goes by %v, %v", url, by, err)
		}
	}
}

func TestVirtualHost(t *testing.T) {
	var at atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at.Store(r.Host + r.URL.Path)
		refuse(w, http.StatusForbidden, "AccessDenied")
	}))
	socket := filepath.Join(t.TempDir(), "s3.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	defer server.Close()
	for style, want := range map[string]string{
		"false": "volumes.s3.example.com/",
		"true":  "s3.example.com/volumes/",
	} {
		b := connected(t, Config{Endpoint: "http://s3.example.com", Socket: socket, PathStyle: style})
		for op, do := range operations(t.Context(), b) {
			at.Store("")
			if err := do(); !errors.Is(err, objstore.ErrAccessDenied) {
				t.Errorf("%s: %v", op, err)
			}
			want := want
			if op != objstore.OpList {
				want += "k"
			}
			if got := at.Load(); got != want {
				t.Errorf("path style %s: %s goes to %s, want %s", style, op, got, want)
			}
		}
	}
}

func TestClockSkew(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration // of the store's clock
		code  string
		want  string
	}{
		"here behind":         {2 * time.Hour, "RequestTimeTooSkewed", "behind the store's: set it"},
		"here ahead":          {-2 * time.Hour, "AccessDenied", "ahead of the store's: set it"},
		"denied for a reason": {5 * time.Minute, "InvalidAccessKeyId", "check the access key"},
		"no date":             {0, "RequestTimeTooSkewed", "set this host's clock"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				if c.ahead != 0 {
					w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
				}
				refuse(w, http.StatusForbidden, c.code)
			}))
			defer server.Close()
			// The first request is minio-go's, then each kind is.
			_, err := Open(t.Context(), Config{Endpoint: server.URL, Bucket: "volumes", AccessKey: "id", SecretKey: "secret"})
			if !errors.Is(err, objstore.ErrAccessDenied) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v, want a denial with %q", err, c.want)
			}
			for op, do := range operations(t.Context(), connected(t, Config{Endpoint: server.URL})) {
				err := do()
				if !errors.Is(err, objstore.ErrAccessDenied) {
					t.Errorf("%s: %v", op, err)
				}
				// A HEAD has no body that could tell the code.
				if op != objstore.OpHead && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, want %q in it", op, err, c.want)
				}
				if strings.Contains(err.Error(), "Signature") {
					t.Errorf("%s: the error shows a signature: %v", op, err)
				}
			}
		})
	}
}
