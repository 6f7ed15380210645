package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// newTransport returns the connections to the store. HTTP/1.1 only: parallel
// transfers then have a congestion window each.
func newTransport(cfg Config) (*http.Transport, error) {
	trust, err := newTrust(cfg)
	if err != nil {
		return nil, err
	}
	t := cfg.Timeouts.withDefaults()
	dialer := &net.Dialer{Timeout: t.Dial}
	return &http.Transport{
		Proxy: proxy(cfg),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if cfg.Socket != "" {
				network, addr = "unix", cfg.Socket
			}
			raw, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: raw, stall: t.Stall}, nil
		},
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   t.Dial,
		ResponseHeaderTimeout: t.Answer,
		IdleConnTimeout:       50 * time.Second, // below the 60 s of common servers and balancers
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		MaxConnsPerHost:       cfg.MaxConns,
		// Objects with Content-Encoding: gzip are wanted as they are.
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
		WriteBufferSize:    64 << 10,
	}, nil
}

// newTrust says whose certificates are accepted. Those of the system stay good beside a
// private authority's.
func newTrust(cfg Config) (*tls.Config, error) {
	trust := &tls.Config{InsecureSkipVerify: cfg.InsecureSkipVerify}
	if cfg.CACert == "" {
		return trust, nil
	}
	data, err := os.ReadFile(cfg.CACert)
	if err != nil {
		return nil, fmt.Errorf("ca-cert: %w", err)
	}
	if trust.RootCAs, err = x509.SystemCertPool(); err != nil {
		trust.RootCAs = x509.NewCertPool()
	}
	if !trust.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("ca-cert: %s holds no certificate in PEM format", cfg.CACert)
	}
	return trust, nil
}

func proxy(cfg Config) func(*http.Request) (*url.URL, error) {
	if cfg.Socket != "" {
		return nil
	}
	return http.ProxyFromEnvironment
}

// conn is a connection to the store that differs from others in two ways.
//
// It fails when no byte has moved in either direction for a time, so that a store that
// vanished in the middle of a body does not hold its reader for ever. Both deadlines
// move together: while a body is sent, a read is waiting too.
//
// A store may refuse a write before it has read the body, and close. Sending the rest
// then fails, and net/http would report that and drop the answer. So a broken pipe is
// no error of Write: Read tells whether there was an answer.
type conn struct {
	net.Conn

	stall time.Duration
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(p), nil
	}
	return n, err
}
