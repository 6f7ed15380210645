//go:build !noembedded

package embedded

import (
	"io"
	"net/http"

	"github.com/gofiber/fiber/v3"
)

// finish surrounds every request. It reads the rest of a body that the answer did not
// need, whatever its size: the library gives up after 256 KiB and closes the
// connection, and the client, still sending, sees a broken pipe in place of the 412.
func (g *gateway) finish(c fiber.Ctx) error {
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
