package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestProxyDelaysRequests counts the time that passes for each request of a connection, of
// which the body is more than a buffer.
func TestProxyDelaysRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, client := net.Pipe()
		server, far := net.Pipe()
		p := &proxy{delay: 20 * time.Millisecond, dial: func() (net.Conn, error) { return server, nil }, conns: map[net.Conn]struct{}{}}
		p.running.Go(func() { p.serve(near) })
		go func() { // the server
			requests := bufio.NewReader(far)
			for {
				r, err := http.ReadRequest(requests)
				if err != nil {
					return
				}
				n, err := io.Copy(io.Discard, r.Body)
				if err != nil || n != r.ContentLength {
					t.Errorf("%d bytes of %d: %v", n, r.ContentLength, err)
				}
				_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}()
		answers := bufio.NewReader(client)
		for _, size := range []int{0, 10, 100_000} {
			begun := time.Now()
			r, err := http.NewRequest(http.MethodPut, "http://server/key", strings.NewReader(strings.Repeat("x", size)))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Write(client); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(answers, r)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatal(answer, err)
			}
			_ = answer.Body.Close()
			if took := time.Since(begun); took != p.delay {
				t.Errorf("%d bytes take %v, want %v", size, took, p.delay)
			}
		}
		_ = client.Close()
		_ = far.Close()
		p.running.Wait()
		if len(p.conns) != 0 {
			t.Errorf("%d connections are left", len(p.conns))
		}
	})
}

// TestProxyPassesConnections has several clients at once on real sockets, and an end with
// connections that are still open.
func TestProxyPassesConnections(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		served.Add(n)
		_, _ = io.WriteString(w, "ok")
	}))
	defer s.Close()
	p, err := startProxy(s.Listener.Addr().String(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	const size = 300_000
	c := &http.Client{Transport: &http.Transport{}}
	err = parallel(40, 8, func(int) error {
		answer, err := c.Post("http://"+p.address(), "text/plain", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		if string(text) != "ok" {
			t.Errorf("answer %q", text)
		}
		_ = answer.Body.Close()
		return err
	})
	if err != nil || served.Load() != 40*size {
		t.Errorf("%d bytes: %v", served.Load(), err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":              0,
		"PUT / HTTP/1.1\r\ncontent-length:  12\r\n\r\nb": 12,
		"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n":   -1,
		"PUT / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n": -1,
		"PUT / HTTP/1.1\r\nHost":                         -1,
	} {
		head, length, err := readHead(bufio.NewReader(strings.NewReader(text)))
		if want < 0 {
			if err == nil {
				t.Errorf("%q: no error", text)
			}
			continue
		}
		if err != nil || length != want || !strings.HasPrefix(text, string(head)) || !strings.HasSuffix(string(head), "\r\n\r\n") {
			t.Errorf("%q: %d bytes behind %q: %v", text, length, head, err)
		}
	}
}
