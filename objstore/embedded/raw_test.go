//go:build !noembedded

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore/embedded"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// raw is a client that sends plain signed requests over few connections.
type raw struct {
	http.Client

	server *embedded.Server
	ended  atomic.Int64 // connections that the server has ended, or has said it would
}

// conn is a connection that counts its end if that comes from the server.
type conn struct {
	net.Conn
	ended *atomic.Int64
}

func (c conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.ended.Add(1)
	}
	return n, err
}

func newRaw(t *testing.T, s *embedded.Server, connections int) *raw {
	t.Helper()
	r := &raw{server: s}
	transport := &http.Transport{
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: connections,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", s.Socket())
			if err != nil {
				return nil, err
			}
			return conn{c, &r.ended}, nil
		},
	}
	r.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

// sign makes a request to a path, which begins with a slash.
func (r *raw) sign(t *testing.T, method, path string, body io.Reader, header http.Header) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, embedded.Endpoint+path, body)
	if err != nil {
		t.Fatal(err)
	}
	const unsigned = "UNSIGNED-PAYLOAD"
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("X-Amz-Content-Sha256", unsigned)
	keys := aws.Credentials{AccessKeyID: r.server.AccessKey(), SecretAccessKey: r.server.SecretKey()}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, unsigned, "s3", embedded.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return req
}

// do returns the status and the body of an answer.
func (r *raw) do(req *http.Request) (status int, body []byte, err error) {
	resp, err := r.Do(req)
	if err != nil {
		return 0, nil, err
	}
	if resp.Close {
		r.ended.Add(1)
	}
	body, err = io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return resp.StatusCode, body, err
}

// must is a request that has to be answered with a status of success.
func (r *raw) must(t *testing.T, method, path string, body []byte, header http.Header) []byte {
	t.Helper()
	status, answer, err := r.do(r.sign(t, method, path, bytes.NewReader(body), header))
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s: status %d, %v: %s", method, path, status, err, answer)
	}
	return answer
}
