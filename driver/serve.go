package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	docker "github.com/docker/go-plugins-helpers/volume"
)

const (
	contentType = "application/vnd.docker.plugins.v1.1+json"
	maxBody     = 1 << 20 // bytes of a request
)

// Observer is told of every call of the protocol.
type Observer interface {
	// Call reports an answered call: the method without its "VolumeDriver.", the volume
	// (empty if none, or none that is known: names that clients make up are no labels),
	// the time to the answer and the error in it.
	Call(method, volume string, took time.Duration, err error)
}

type nobody struct{}

func (nobody) Call(string, string, time.Duration, error) {}

// Serve answers the engine on l until Close. It closes l.
func (d *Driver) Serve(l net.Listener) error {
	if err := d.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newServer makes the http.Server. It bounds the time for a request's header, but none for
// an answer (an Unmount drains), nor for the body: a read deadline would end the context of
// a long call as if its caller had gone.
func newServer(d *Driver) *http.Server {
	return &http.Server{
		Handler:           d.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
}

// routes is the protocol. Each answer has Err beside what the library's type has.
func (d *Driver) routes() http.Handler {
	all := methods{}
	all["/Plugin.Activate"] = func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, "Activate", nil, nil, func(docker.Driver) (any, error) {
			// An epoch that cannot be written still holds for this process.
			if err := d.Activate(); err != nil {
				d.log.Error("write the new epoch", "err", err)
			}
			return struct {
				Implements []string
				Err        string
			}{Implements: []string{"VolumeDriver"}}, nil
		})
	}
	endpoint(d, all, "Create", func(q *docker.CreateRequest) string { return q.Name },
		func(api docker.Driver, q *docker.CreateRequest) (any, error) { return done{}, api.Create(q) })
	endpoint(d, all, "Remove", func(q *docker.RemoveRequest) string { return q.Name },
		func(api docker.Driver, q *docker.RemoveRequest) (any, error) { return done{}, api.Remove(q) })
	endpoint(d, all, "Mount", func(q *docker.MountRequest) string { return q.Name },
		func(api docker.Driver, q *docker.MountRequest) (any, error) {
			answer, err := api.Mount(q)
			return struct {
				*docker.MountResponse
				done
			}{MountResponse: answer}, err
		})
	endpoint(d, all, "Unmount", func(q *docker.UnmountRequest) string { return q.Name },
		func(api docker.Driver, q *docker.UnmountRequest) (any, error) { return done{}, api.Unmount(q) })
	endpoint(d, all, "Path", func(q *docker.PathRequest) string { return q.Name },
		func(api docker.Driver, q *docker.PathRequest) (any, error) {
			answer, err := api.Path(q)
			return struct {
				*docker.PathResponse
				done
			}{PathResponse: answer}, err
		})
	endpoint(d, all, "Get", func(q *docker.GetRequest) string { return q.Name },
		func(api docker.Driver, q *docker.GetRequest) (any, error) {
			answer, err := api.Get(q)
			return struct {
				*docker.GetResponse
				done
			}{GetResponse: answer}, err
		})
	all["/VolumeDriver.List"] = func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, "List", nil, nil, func(api docker.Driver) (any, error) {
			answer, err := api.List()
			return struct {
				*docker.ListResponse
				done
			}{ListResponse: answer}, err
		})
	}
	all["/VolumeDriver.Capabilities"] = func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, "Capabilities", nil, nil, func(api docker.Driver) (any, error) {
			return struct {
				*docker.CapabilitiesResponse
				done
			}{CapabilitiesResponse: api.Capabilities()}, nil
		})
	}
	return all
}

// done is the part of an answer that every one has.
type done struct{ Err string }

// endpoint serves one method that takes a request of type Q.
func endpoint[Q any](d *Driver, all methods, method string, name func(*Q) string, call func(docker.Driver, *Q) (any, error)) {
	all["/VolumeDriver."+method] = func(w http.ResponseWriter, r *http.Request) {
		var q Q
		d.serve(w, r, method, &q, func() string { return name(&q) },
			func(api docker.Driver) (any, error) { return call(api, &q) })
	}
}

// badRequest is a request that says nothing.
type badRequest struct{ error }

func (b badRequest) Unwrap() error { return b.error }

// errLost is a request without a body. An engine repeats a request whose connection broke,
// but the buffer of its body was drained by the first attempt.
var errLost = errors.New("the request was lost in a restart of the plugin and came without its body; try again")

// serve reads a request into q (nil: whatever it says), makes the call and answers. A panic
// is an answer too. A Get that was lost has none: an engine takes any error for "no such
// volume" and forgets the volume's labels and users, but a broken connection for a driver
// that is away.
func (d *Driver) serve(w http.ResponseWriter, r *http.Request, method string, q any, name func() string, call func(docker.Driver) (any, error)) {
	start := time.Now()
	var answer any
	label := ""
	err := recovered(func() error {
		if err := decode(http.MaxBytesReader(w, r.Body, maxBody), q); err != nil {
			return badRequest{err}
		}
		if name != nil && d.knows(name()) {
			label = name()
		}
		var err error
		answer, err = call(request{d, r.Context()})
		return err
	})
	if method == "Get" && errors.Is(err, errLost) {
		d.log.Warn("not answered", "method", method, "err", err)
		panic(http.ErrAbortHandler)
	}
	if name != nil && label == "" && d.knows(name()) { // made by this call
		label = name()
	}
	status := http.StatusOK
	if err != nil {
		status, answer = http.StatusInternalServerError, done{err.Error()}
		if _, bad := errors.AsType[badRequest](err); bad {
			status = http.StatusBadRequest
		}
	}
	if err := answerWith(w, status, answer); err != nil {
		d.log.Debug("answer not taken", "method", method, "err", err)
	}
	took := time.Since(start)
	d.observer.Call(method, label, took, err)
	d.logCall(r.Context(), method, name, took, err)
}

// knows reports whether there is a volume of that name.
func (d *Driver) knows(name string) bool {
	_, err := d.lookup(name)
	return err == nil
}

// logCall writes one line per call. What only asks is for debugging.
func (d *Driver) logCall(ctx context.Context, method string, name func() string, took time.Duration, err error) {
	attrs := []slog.Attr{slog.String("method", method), slog.Duration("took", took)}
	if name != nil {
		attrs = append(attrs, slog.String("volume", name()))
	}
	level := slog.LevelDebug
	switch method {
	case "Create", "Remove", "Mount", "Unmount", "Activate":
		level = slog.LevelInfo
	}
	if err != nil {
		if level > slog.LevelDebug { // Get of a foreign name is how the engine looks for a driver
			level = slog.LevelWarn
		}
		attrs = append(attrs, slog.Any("err", err))
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	d.log.LogAttrs(ctx, level, "call", attrs...)
}

// decode reads a JSON object.
func decode(body io.Reader, q any) error {
	data, err := io.ReadAll(body)
	switch {
	case err != nil:
		return fmt.Errorf("read the request: %w", err)
	case q == nil:
		return nil
	case len(bytes.TrimSpace(data)) == 0:
		return errLost
	}
	if err := json.Unmarshal(data, q); err != nil {
		return fmt.Errorf("the request is not what the protocol says: %w", err)
	}
	return nil
}
