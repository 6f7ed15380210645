package s3

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

// newTransport returns the connections to the store. HTTP/1.1 only: parallel
// transfers then have a congestion window each.
func newTransport(cfg Config) *http.Transport {
	t := cfg.Timeouts.withDefaults()
	dialer := &net.Dialer{Timeout: t.Dial}
	return &http.Transport{
		Proxy: proxy(cfg),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if cfg.Socket != "" {
				network, addr = "unix", cfg.Socket
			}
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{Conn: c, timeout: t.Stall}, nil
		},
		TLSHandshakeTimeout:   t.Dial,
		ResponseHeaderTimeout: t.Answer,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       50 * time.Second, // below the 60 s of common servers and balancers
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		MaxConnsPerHost:       cfg.MaxConns,
		// Objects with Content-Encoding: gzip are wanted as they are.
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
		WriteBufferSize:    64 << 10,
	}
}

func proxy(cfg Config) func(*http.Request) (*url.URL, error) {
	if cfg.Socket != "" {
		return nil
	}
	return http.ProxyFromEnvironment
}

// stallConn fails when no byte has moved in either direction for a time, so that a
// store that vanished in the middle of a body does not hold its reader for ever.
// Both deadlines move together: while a body is sent, a read is waiting too.
type stallConn struct {
	net.Conn

	timeout time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// expectAbove is the body size in bytes from which a conditional write asks before
// it sends.
const expectAbove = 64 << 10

// expecting is a transport that adds Expect: 100-continue to conditional writes.
type expecting struct{ http.RoundTripper }

func (t expecting) RoundTrip(r *http.Request) (*http.Response, error) {
	conditional := r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""
	if r.Method == http.MethodPut && conditional && r.ContentLength > expectAbove {
		r = r.Clone(r.Context())
		r.Header.Set("Expect", "100-continue")
	}
	return t.RoundTripper.RoundTrip(r)
}
