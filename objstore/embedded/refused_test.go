//go:build !noembedded

package embedded_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"objvol/objstore/embedded"
)

// A refused body must not be taken for the next request of its connection, and its
// client must see the refusal and not a broken pipe.
func TestRefusedPutsLeaveTheirConnectionsUsable(t *testing.T) {
	const (
		connections = 32
		puts        = 1000
	)
	s := start(t, embedded.Options{})
	r := newRaw(t, s, connections)
	r.must(t, http.MethodPut, "/volumes", nil, nil)
	r.must(t, http.MethodPut, "/volumes/taken", []byte("first"), nil)

	// What is left of this body would be a request.
	smuggled := []byte("DELETE /volumes/taken HTTP/1.1\r\nHost: localhost\r\n\r\n")
	reqs := make([]*http.Request, puts)
	for i := range reqs {
		size := 1<<10 + i*(255<<10)/(puts-1)
		if i%100 == 0 {
			size = 4 << 20
		}
		body := bytes.Repeat(smuggled, size/len(smuggled)+1)[:size]
		reqs[i] = r.sign(t, http.MethodPut, "/volumes/taken", bytes.NewReader(body), http.Header{"If-None-Match": {"*"}})
	}
	var wg sync.WaitGroup
	for i, req := range reqs {
		wg.Go(func() {
			status, answer, err := r.do(req)
			if err != nil || status != http.StatusPreconditionFailed || !bytes.Contains(answer, []byte("<Code>PreconditionFailed</Code>")) {
				t.Errorf("put %d of %d bytes: status %d, %v: %s", i, req.ContentLength, status, err, answer)
			}
		})
	}
	wg.Wait()

	gets := make([]*http.Request, 4*connections)
	for i := range gets {
		r.must(t, http.MethodPut, fmt.Sprintf("/volumes/%d", i), fmt.Append(nil, i), nil)
		gets[i] = r.sign(t, http.MethodGet, fmt.Sprintf("/volumes/%d", i), nil, nil)
	}
	for i, req := range gets {
		wg.Go(func() {
			if status, answer, err := r.do(req); err != nil || status != http.StatusOK || string(answer) != fmt.Sprint(i) {
				t.Errorf("get %d: status %d, %v: %s", i, status, err, answer)
			}
		})
	}
	wg.Wait()
	if got := r.must(t, http.MethodGet, "/volumes/taken", nil, nil); string(got) != "first" {
		t.Errorf("the object is %q", got)
	}
	// The client ends one itself if it does not learn within 50 ms of an answer that its body has gone.
	if n := r.ended.Load(); n > 0 {
		t.Errorf("the server has ended %d connections", n)
	}
}

// A body that ends too early is no object, also if nothing in the request says what the
// body should have been.
func TestBrokenOffBodyIsNoObject(t *testing.T) {
	s := start(t, embedded.Options{})
	r := newRaw(t, s, 1)
	r.must(t, http.MethodPut, "/volumes", nil, nil)
	r.must(t, http.MethodPut, "/volumes/a", []byte("old"), nil)

	req := r.sign(t, http.MethodPut, "/volumes/a", strings.NewReader(strings.Repeat("x", 1<<20)), nil)
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", s.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(wire.Bytes()[:wire.Len()/2]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// The end of the connection is the end of the request.
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		t.Errorf("half a body was answered %s", answer)
	}
	if got := r.must(t, http.MethodGet, "/volumes/a", nil, nil); string(got) != "old" {
		t.Errorf("half a body made an object of %d bytes", len(got))
	}
}
