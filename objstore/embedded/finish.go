//go:build !noembedded

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// finish surrounds every request. It reads the rest of a body that the answer did not
// need, whatever its size: the library gives up after 256 KiB and closes the
// connection, and the client, still sending, sees a broken pipe in place of the 412.
func (g *gateway) finish(c fiber.Ctx) error {
	g.quieted.Do(func() { g.quiet(c.App().Server()) })
	g.requests.Add(1)
	defer g.requests.Add(-1)
	err := c.Next()
	// Only a body of known length ends where its reader says so a second time.
	if body := c.Request().BodyStream(); body != nil && c.Request().Header.ContentLength() > 0 {
		if _, rerr := io.Copy(io.Discard, body); rerr != nil {
			c.Response().Header.SetConnectionClose()
			g.log.Debug("embedded store: the rest of a body did not arrive", "err", rerr)
		}
	}
	if status := c.Response().StatusCode(); status >= http.StatusInternalServerError {
		g.log.Warn("embedded store", "method", c.Method(), "path", c.Path(), "status", status)
	}
	return err
}

// quiet takes over the requests that break off before a handler sees them. The library
// would print each to standard error as an error of its own.
func (g *gateway) quiet(server *fasthttp.Server) {
	next := server.ErrorHandler
	server.ErrorHandler = func(c *fasthttp.RequestCtx, err error) {
		if _, large := errors.AsType[*fasthttp.ErrSmallBuffer](err); large {
			next(c, err) // headers of more than 8 KiB have an answer of S3
			return
		}
		g.log.Debug("embedded store: a request did not arrive", "err", err)
		c.SetStatusCode(http.StatusBadRequest)
	}
}

// greet sends the first request. It shows that the server answers, and it is how quiet
// gets hold of the server, before anybody else is served.
func (g *gateway) greet(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", g.dir.socket())
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, Endpoint, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("embedded store: the server does not answer: %w", err)
	}
	return resp.Body.Close() // it is a refusal: the request was not signed
}
